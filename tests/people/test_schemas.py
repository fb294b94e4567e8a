"""What may come in about people (guide: Validation Layer, auth.ts)."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from pydantic import ValidationError

from specchem.people.schemas import AdminRole, CreateProfile, Profile, UpdateProfile

SOMEBODY = {
    "id": "11111111-1111-1111-1111-111111111111",  # no RFC 4122 variant, yet a uuid to PostgreSQL
    "plant_id": "AAAAAAAA-bbbb-4CCC-8DDD-EEEEEEEEEEEE",
    "first_name": "  Zoë ",
    "last_name": "Smith",
    "email": " Zoe@Example.COM ",
}


# guide-measured: createProfile (schema)
def test_a_profile_is_trimmed_and_normalised() -> None:
    new = CreateProfile.model_validate(SOMEBODY)
    assert new.id == UUID(SOMEBODY["id"])
    assert str(new.plant_id) == SOMEBODY["plant_id"].lower()
    assert (new.first_name, new.email, new.job_title, new.status) == (
        "Zoë", "zoe@example.com", None, "active",
    )  # fmt: skip


def test_every_fault_is_named_at_once() -> None:
    sent = {
        "id": "nobody", "plant_id": 7, "first_name": "   ", "last_name": "x" * 101, "email": "zoe",
        "job_title": "", "status": "gone", "is_admin": True,
    }  # fmt: skip
    with pytest.raises(ValidationError) as caught:
        CreateProfile.model_validate(sent)
    assert {fault["loc"][0] for fault in caught.value.errors()} == set(sent)


def test_a_profile_needs_its_account() -> None:
    with pytest.raises(ValidationError) as caught:
        CreateProfile.model_validate({})
    named = {fault["loc"][0] for fault in caught.value.errors()}
    assert named == {"id", "plant_id", "first_name", "last_name", "email"}


@pytest.mark.parametrize("extra", ["created_at", "updated_at", "role", "firstName", "__class__"])
def test_unknown_keys_are_refused(extra: str) -> None:
    with pytest.raises(ValidationError, match=extra):
        CreateProfile.model_validate({**SOMEBODY, extra: "x"})


# guide-measured: updateProfile (schema)
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"first_name": None},
        {"status": None},
        {"plant_id": None},
        {"first_name": "\x00"},
        {"last_name": "a\N{RIGHT-TO-LEFT OVERRIDE}b"},
        {"last_name": "a\ud800"},
        {"status": "ACTIVE"},
        {"id": SOMEBODY["id"]},
        {"id": SOMEBODY["id"], "first_name": "Zoë"},
        {"email": "zoe@example.com"},
    ],
)
def test_a_change_that_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UpdateProfile.model_validate(sent)


def test_a_job_can_be_emptied() -> None:
    change = UpdateProfile.model_validate({"job_title": None})
    assert change.model_dump(exclude_unset=True) == {"job_title": None}


# guide-measured: adminRole (schema)
PLANT = SOMEBODY["plant_id"]


@pytest.mark.parametrize(
    ("role", "plant", "fits"),
    [
        ("plant_manager", PLANT, True),
        ("plant_manager", None, False),
        ("hr_admin", None, True),
        ("hr_admin", PLANT, True),  # HR of that plant
        ("dev_admin", None, True),
        ("dev_admin", PLANT, False),
        ("owner", None, False),
        ("HR_ADMIN", None, False),
        (None, None, False),
    ],
)
def test_a_role_has_the_scope_it_needs(role: str | None, plant: str | None, fits: bool) -> None:
    sent = {"role": role, "plant_id": plant}
    if fits:
        assert AdminRole.model_validate(sent).role == role
    else:
        with pytest.raises(ValidationError):
            AdminRole.model_validate(sent)


# guide-measured: userProfile (read)
def test_a_profile_that_is_read_may_lack_its_job_and_writes_dates() -> None:
    row = {
        "id": SOMEBODY["id"], "plant_id": PLANT, "first_name": "Zoë", "last_name": "", "email": "",
        "job_title": None, "status": "active",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00+05:30",
    }  # fmt: skip
    read = msgspec.convert(row, Profile)
    assert read.job_title is None
    assert msgspec.json.decode(msgspec.json.encode(read), type=Profile) == read
