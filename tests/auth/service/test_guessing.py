"""Guessing passwords, codes and who has an account: counted, and answered alike."""

import json
from typing import Any
from uuid import uuid4

import pytest

from specchem.auth.door import OF_ACCOUNT, OF_ADDRESS
from specchem.auth.service import passwords
from specchem.auth.service.later import Later
from tests.auth.service.site import ANA, NEW, NOBODY, OTHER, Site, refused, session_of


async def test_guesses_from_two_hundred_addresses(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    kept = passwords.is_right

    async def is_right(*said: Any) -> bool:
        looked.append(said)
        return await kept(*said)

    monkeypatch.setattr(passwords, "is_right", is_right)
    statuses = []
    for number in range(200):
        async with site.at(f"198.51.100.{number}") as elsewhere:
            sent = {"email": ANA, "password": f"guess number {number}"}
            answer = await elsewhere.post("token?grant_type=password", json=sent)
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            assert answer.json()["error_code"] == "over_request_rate_limit"
            assert 0 < int(answer.headers["retry-after"]) <= 60
    burst = OF_ACCOUNT["password"].burst
    assert statuses[:burst] == [400] * burst
    assert set(statuses[burst:]) <= {400, 429}
    assert len(looked) == statuses.count(400)  # who has to wait is not even compared
    assert len(looked) < 2 * burst


async def test_strangers_lock_nobody_out_of_where_they_work(site: Site) -> None:
    await session_of(site)
    for number in range(60):
        async with site.at(f"198.51.100.{number}") as elsewhere:
            answer = await elsewhere.post("token?grant_type=password", json={"email": ANA, "password": "x"})
    assert answer.status_code == 429
    await session_of(site)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("recover", {"email": NOBODY}), ("otp", {"email": NOBODY}), ("resend", {"email": NOBODY, "type": "signup"}),
        ("signup", {"email": NOBODY, "password": OTHER}),
    ],
)  # fmt: skip
async def test_nobody_is_flooded_with_mail(site: Site, path: str, body: dict[str, Any]) -> None:
    answers = [await site.post(path, body) for _ in range(OF_ACCOUNT["mail"].burst + 1)]
    assert [answer.status_code for answer in answers[:-1]] == [200] * OF_ACCOUNT["mail"].burst
    assert refused(answers[-1], 429, "over_email_send_rate_limit")


async def test_digits_cannot_be_guessed(site: Site) -> None:
    await site.post("recover", {"email": ANA})
    digits = (await site.mail(ANA)).digits
    tries = [
        {"type": "recovery", "email": ANA, "token": f"{(int(digits) + number + 1) % 1_000_000:06}"}
        for number in range(OF_ACCOUNT["code"].burst)
    ]
    for sent in tries:
        assert refused(await site.post("verify", sent), 403, "otp_expired")
    right = {"type": "recovery", "email": ANA, "token": digits}
    assert refused(await site.post("verify", right), 429, "over_request_rate_limit")


async def test_link_tokens_are_counted_by_address(site: Site) -> None:
    last = OF_ADDRESS["code"].burst
    for _ in range(last):
        answer = await site.post("verify", {"type": "recovery", "token_hash": uuid4().hex})
        assert refused(answer, 403, "otp_expired")
    answer = await site.post("verify", {"type": "recovery", "token_hash": uuid4().hex})
    assert refused(answer, 429, "over_request_rate_limit")


async def test_a_server_with_the_secret_key_is_not_counted(site: Site) -> None:
    headers = {"apikey": site.ring.secret_key}
    for _ in range(OF_ACCOUNT["password"].burst + 5):
        body = {"email": ANA, "password": "wrong"}
        answer = await site.post("token?grant_type=password", body, headers=headers)
        assert refused(answer, 400, "invalid_credentials")
    assert await site.owner("select count(*) from specchem.tries") == 0
    assert await site.owner("select count(*) from audit_events where action = 'sign_in_failed'") == 0


async def test_failures_are_on_record_and_a_success_begins_anew(site: Site) -> None:
    for _ in range(OF_ACCOUNT["password"].burst - 1):
        await site.sign_in(ANA, "wrong")
    await session_of(site)
    await session_of(site)  # it was the last but one before
    record = "select count(*) from audit_events where action = $1 and subject_id = $2"
    ana = site.world.person["ana"]
    assert await site.owner(record, "sign_in_failed", ana) == OF_ACCOUNT["password"].burst - 1
    assert await site.owner(record, "sign_in", ana) == 2


@pytest.mark.parametrize(
    "prepare",
    ["select $1::uuid", "update auth.users set encrypted_password = null where id = $1",
     "update auth.users set encrypted_password = '' where id = $1",
     "update auth.users set encrypted_password = '$2a$10$' || repeat('x', 53) where id = $1",
     "update auth.users set deleted_at = now() where id = $1"],
)  # fmt: skip
async def test_a_wrong_password_takes_the_same_work_whoever_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch, prepare: str
) -> None:
    """Time would tell what the answer does not."""
    await site.owner(prepare, site.world.person["ana"])
    real, seen = passwords.PASSWORDS, []

    class Watched:
        def verify(self, kept: str, password: str) -> bool:
            seen.append(kept[:9])
            return real.verify(kept, password)

    monkeypatch.setattr(passwords, "PASSWORDS", Watched())
    answers = [await site.sign_in(email, "wrong") for email in (ANA, NOBODY)]
    assert answers[0].json() == answers[1].json()
    assert seen == ["$argon2id"] * 2


async def test_what_nobody_has_is_as_costly_as_what_somebody_has() -> None:
    assert passwords.NOBODY.split("$")[:4] == passwords.PASSWORDS.hash("x").split("$")[:4]


@pytest.mark.parametrize("path", ["recover", "otp", "resend"])
async def test_asking_for_mail_tells_nothing(site: Site, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The answer is the same, and given before anything is looked up."""
    begun: list[Any] = []

    def do(_: Later, work: Any) -> None:
        begun.append(work)
        work.close()

    monkeypatch.setattr(Later, "do", do)
    answers = []
    for email in (ANA, NOBODY):
        answers.append(await site.post(path, {"email": email, "type": "signup", "create_user": False}))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].text == answers[1].text == "{}"
    assert {work.cr_code for work in begun} == {begun[0].cr_code}
    assert len(begun) == 2


async def test_signing_up_tells_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    real = passwords.keep

    async def keep(password: str) -> str:
        hashed.append(password)
        return await real(password)

    monkeypatch.setattr(passwords, "keep", keep)
    said = {}
    for email in (ANA, NEW):
        answer = await site.post("signup", {"email": email, "password": OTHER, "data": {"a": 1}})
        said[email] = answer.json()
        assert answer.status_code == 200
    await site.service.later.drain()
    assert hashed == [OTHER, OTHER]

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shape(one) for name, one in value.items()}
        return [shape(one) for one in value] if isinstance(value, list) else type(value)

    assert shape(said[ANA]) == shape(said[NEW])
    assert str(site.world.person["ana"]) not in json.dumps(said[ANA])
    assert said[NEW]["id"] != str(await site.owner("select id from auth.users where email = $1", NEW))
    # Whose address it is, is told; and nothing of the account has changed.
    assert "There is one already" in (await site.mail(ANA)).text
    assert "Confirm" in (await site.mail(NEW)).message["Subject"]
    await session_of(site)


async def test_mail_goes_only_to_who_has_an_account(site: Site) -> None:
    for email in (ANA, NOBODY, "sue@example.com"):
        await site.post("recover", {"email": email})
        await site.post("otp", {"email": email, "create_user": False})
    assert len(await site.mails(ANA)) == 2
    assert await site.mails(NOBODY) == []
    assert await site.mails("sue@example.com") == []  # suspended
    assert await site.owner("select count(*) from auth.users where email = $1", NOBODY) == 0


async def test_a_mail_that_cannot_be_sent_tells_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.outbox.parent.mkdir(exist_ok=True)
    site.outbox.write_text("in the way")
    for email in (ANA, NOBODY):
        assert (await site.post("recover", {"email": email})).text == "{}"
    await site.service.later.drain()
    assert "mail was not sent" in caplog.text
    assert ANA not in caplog.text
