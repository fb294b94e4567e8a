-- What the completion reports read: how many active people of a plant take a course, and how far they are. Sixteen
-- shards keep writers of one busy plant out of each other's way; one shard alone may be below zero.
create table public.completion_counters (
    plant_id uuid not null references public.plants (id),
    course_id uuid not null references public.courses (id),
    shard smallint not null,
    enrolled bigint not null,
    in_progress bigint not null,
    completed bigint not null,
    progress_sum bigint not null,
    primary key (plant_id, course_id, shard)
);
create index completion_counters_course_id_idx on public.completion_counters (course_id);
insert into public.completion_counters
(plant_id, course_id, shard, enrolled, in_progress, completed, progress_sum)
select
    e.plant_id,
    e.course_id,
    0 as shard,
    count(*) as enrolled,
    count(*) filter (where e.status = 'in_progress') as in_progress,
    count(*) filter (where e.status = 'completed') as completed,
    coalesce(sum(g.progress_percent), 0) as progress_sum
from public.enrollments as e
inner join public.profiles as p on e.user_id = p.id and p.status = 'active'
left join public.progress as g on e.user_id = g.user_id and e.course_id = g.course_id
group by e.plant_id, e.course_id;

-- Another of this name stands in indexes.sql.
drop index public.profiles_active_plant_idx;

-- How many answers were pruned, so that the counters can still be recounted.
create table specchem.pruned_answers (
    plant_id uuid not null,
    course_id uuid not null,
    section_key text not null,
    question_key text not null,
    attempts bigint not null,
    wrong bigint not null,
    first_attempts bigint not null,
    primary key (plant_id, course_id, section_key, question_key)
);
