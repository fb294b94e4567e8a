"""How much was recorded, by week or day and plant: for whoever looks after the server, not for a page."""

from datetime import date
from typing import Literal

import msgspec

from specchem.db.session import Connection

By = Literal["week", "day"]

# Weeks begin on Monday, and both by the plant's clock. What was pruned is gone from the answers.
VOLUME = """
with plants as (
    select p.id, p.name, p.timezone, p.is_active,
        date_trunc($1, now() at time zone p.timezone) as latest,
        date_trunc($1, now() at time zone p.timezone) - ($2::integer - 1) * ('1 ' || $1)::interval as first
    from public.plants as p
),
counted as (
    select s.id, date_trunc($1, e.answered_at at time zone s.timezone) as began,
        count(*) as answers, 0 as viewed, 0 as enrolled, 0 as started, 0 as completed
    from plants as s join public.question_events as e
        on e.plant_id = s.id and e.answered_at >= s.first at time zone s.timezone
    group by 1, 2
    union all
    select s.id, date_trunc($1, e.occurred_at at time zone s.timezone), 0,
        count(*) filter (where e.event_type = 'view_section'), 0,
        count(*) filter (where e.event_type = 'start_course'),
        count(*) filter (where e.event_type = 'complete_course')
    from plants as s join public.activity_events as e
        on e.plant_id = s.id and e.occurred_at >= s.first at time zone s.timezone
    group by 1, 2
    union all
    select s.id, date_trunc($1, e.enrolled_at at time zone s.timezone), 0, 0, count(*), 0, 0
    from plants as s join public.enrollments as e
        on e.plant_id = s.id and e.enrolled_at >= s.first at time zone s.timezone
    group by 1, 2
)
select began.at::date as began, s.name as plant,
    coalesce(sum(c.answers), 0)::bigint as answers, coalesce(sum(c.viewed), 0)::bigint as viewed,
    coalesce(sum(c.enrolled), 0)::bigint as enrolled, coalesce(sum(c.started), 0)::bigint as started,
    coalesce(sum(c.completed), 0)::bigint as completed
from plants as s
cross join generate_series(s.first, s.latest, ('1 ' || $1)::interval) as began (at)
left join counted as c on c.id = s.id and c.began = began.at
group by began.at, s.id, s.name, s.is_active
having s.is_active or count(c.id) > 0
order by began.at desc, s.name
"""


class Volume(msgspec.Struct, frozen=True):
    """What one plant recorded in the week (or on the day) that began then."""

    began: date
    plant: str
    answers: int
    viewed: int
    enrolled: int
    started: int
    completed: int


async def get_volume(connection: Connection, by: By, weeks: int) -> list[Volume]:
    """The latest first; a week or a day in which nothing happened is there with zeros."""
    rows = await connection.fetch(VOLUME, by, weeks * (7 if by == "day" else 1))
    return [msgspec.convert(dict(row), Volume) for row in rows]
