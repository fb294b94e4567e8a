"""Inviting people through the API: made as whoever invites, mailed by the auth service, accepted by link."""

from typing import Any

import httpx
import pytest

from tests.auth.mailbox import Mailbox
from tests.web.served import Served, is_problem
from tests.web.visiting import is_page, visiting, words

PATH = "/api/v1/invitations"
NEW = "a new long password"


async def invite(served: Served, who: str, *wanted: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await served.post(who, PATH, {"invitations": list(wanted)})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def to(served: Served, email: str, plant: str, **more: Any) -> dict[str, Any]:
    return {"email": email, "plant_id": str(served.world.plant[plant]), **more}


async def profile(served: Served, email: str) -> Any:
    return await served.owner(
        "select p.first_name || ' ' || p.last_name || ', ' || t.name from profiles p join plants t on t.id = p.plant_id"
        " where p.email = $1",
        email,
    )


async def open_link(served: Served, link: str) -> httpx.Response:
    """Follow a link, press its button; the page it leads to."""
    async with visiting(served) as tab:
        assert (await tab.get(link)).status_code == 200
        fields = [one.split("=", 1) for one in link.partition("?")[2].split("&")]
        return await tab.send("/auth/confirm", *((name, value) for name, value in fields))


async def test_a_manager_invites_one_and_the_link_brings_them_in(own: Served) -> None:
    mail = Mailbox()
    wanted = to(
        own, "zed@example.com", "Columbus, OH", first_name="Zed", last_name="Zhou", job_title="Loader"
    )
    (made,) = await invite(own, "max", wanted)
    assert (made["sent"], made["problem"]) == (True, None)
    assert made["invitation"]["invited_by"] == str(own.world.person["max"])
    assert [one["email"] for one in (await own.get("max", PATH)).json()] == ["zed@example.com"]
    assert (await own.get("mia", PATH)).json() == []
    link = await mail.link("zed@example.com")
    assert await profile(own, "zed@example.com") is None  # nobody yet, in no plant
    async with visiting(own) as tab:
        assert (await tab.get(link)).status_code == 200
        assert await profile(own, "zed@example.com") is None  # a scanner that follows links accepts nothing
        fields = [one.split("=", 1) for one in link.partition("?")[2].split("&")]
        answer = await tab.send("/auth/confirm", *((name, value) for name, value in fields))
        assert answer.status_code == 303
        assert await profile(own, "zed@example.com") == "Zed Zhou, Columbus, OH"
    assert (await own.get("max", PATH)).json() == []
    again = await open_link(own, link)
    assert again.status_code == 400
    assert "does not work" in words(again)


async def test_many_at_once_each_for_itself(own: Served) -> None:
    mail = Mailbox()
    made = await invite(
        own,
        "max",
        to(own, "one@example.com", "Columbus, OH"),
        to(own, "two@example.com", "Phoenix, AZ"),
        to(own, "ana@example.com", "Columbus, OH"),
        to(own, "one@example.com", "Columbus, OH"),
        to(own, "boss@example.com", "Columbus, OH", role="hr_admin"),
        to(own, "three@example.com", "Columbus, OH"),
    )
    assert [one["sent"] for one in made] == [True, False, False, False, False, True]
    assert [bool(one["problem"]) for one in made] == [False, True, True, True, True, False]
    for email in ("one@example.com", "three@example.com"):
        assert await mail.link(email)
    assert mail.new() == []


async def test_sent_again_it_has_a_new_link_and_the_old_one_is_dead(own: Served) -> None:
    mail = Mailbox()
    (made,) = await invite(own, "hana", to(own, "zed@example.com", "Denver, CO", role="hr_admin"))
    first = await mail.link("zed@example.com")
    answer = await own.post("hana", f"{PATH}/{made['invitation']['id']}/send", {})
    assert answer.json()["sent"] is True, answer.text
    second = await mail.link("zed@example.com")
    assert (await open_link(own, first)).status_code == 400
    assert (await open_link(own, second)).headers["location"].partition("?")[0] == "/password"
    assert (await profile(own, "zed@example.com") or "").endswith("Denver, CO")


async def test_a_revoked_one_opens_nothing(own: Served) -> None:
    mail = Mailbox()
    (made,) = await invite(own, "max", to(own, "zed@example.com", "Columbus, OH"))
    link = await mail.link("zed@example.com")
    address = f"{PATH}/{made['invitation']['id']}"
    assert is_problem(await own.ask("ana", "DELETE", address), 404)
    assert is_problem(await own.ask("mia", "DELETE", address), 404)
    assert (await own.ask("max", "DELETE", address)).json()["revoked_at"]
    assert is_problem(await own.ask("max", "DELETE", address), 409)
    assert is_problem(await own.post("max", f"{address}/send", {}), 409)
    assert (await open_link(own, link)).status_code == 400
    assert await profile(own, "zed@example.com") is None
    assert await own.owner("select count(*) from auth.users where email = 'zed@example.com'") == 0


@pytest.mark.parametrize("who", ["ana", "dev", "max"])
async def test_whoever_may_not_invite_sends_no_mail(own: Served, who: str) -> None:
    mail = Mailbox()
    (made,) = await invite(own, who, to(own, "zed@example.com", "Phoenix, AZ"))
    assert (made["invitation"], made["sent"]) == (None, False)
    assert made["problem"]
    assert await own.owner("select count(*) from auth.users where email = 'zed@example.com'") == 0
    assert mail.new() == []


async def test_a_suspended_manager_invites_nobody(own: Served) -> None:
    await own.token("max")
    await own.owner("update profiles set status = 'suspended' where id = $1", own.world.person["max"])
    answer = await own.post("max", PATH, {"invitations": [to(own, "zed@example.com", "Columbus, OH")]})
    assert is_problem(answer, 403)


@pytest.mark.parametrize(
    "email",
    [
        "zed@example.com\r\nBcc: all@example.com",
        "zed@example.com, all@example.com",
        "zed@example.com%0aBcc:x",
        "x",
    ],
)
async def test_an_address_carries_no_headers(own: Served, email: str) -> None:
    mail = Mailbox()
    answer = await own.post("max", PATH, {"invitations": [to(own, email, "Columbus, OH")]})
    assert is_problem(answer, 400)
    assert mail.new() == []


# ---------------------------------------------------------------- the page
async def test_a_manager_invites_from_the_page(own: Served) -> None:
    mail = Mailbox()
    async with visiting(own, "max") as tab:
        page = await tab.get("/invitations")
        assert is_page(page, 200)
        assert "Nobody is waiting" in words(page)
        assert "HR of the company" not in words(page)  # who holds a role is HR's to say
        plant = str(own.world.plant["Columbus, OH"])
        typed = "one@example.com, ana@example.com\nnot-an-address; one@example.com"
        page = await tab.send("/invitations", ("emails", typed), ("plant_id", plant), ("role", "hr_admin"))
        assert is_page(page, 200)
        assert "one@example.com : " in words(page)
        assert "not-an-address : An email address must have an @-sign." in words(page)
        assert (await own.get("max", PATH)).json() == []  # a role was asked for
        page = await tab.send("/invitations", ("emails", typed), ("plant_id", plant))
        assert "one@example.com : the mail is on its way." in words(page)
        assert "There is a person with this e-mail address already." in words(page)
        assert ">ana@example.com\nnot-an-address</textarea>" in page.text  # to be put right
        first = await mail.link("one@example.com")
        (made,) = (await own.get("max", PATH)).json()
        page = await tab.send(f"/invitations/{made['id']}/send")
        assert "the mail is on its way" in words(page)
        second = await mail.link("one@example.com")
        assert first != second
        page = await tab.send(f"/invitations/{made['id']}/revoke")
        assert page.headers["location"] == "/invitations"
        assert "Nobody is waiting" in words(await tab.get("/invitations"))
    assert (await open_link(own, second)).status_code == 400


@pytest.mark.parametrize("fields", [(), (("emails", " ,; "),), (("emails", "x@example.com " * 1),)])
async def test_a_form_that_lacks_something_says_so(own: Served, fields: tuple[tuple[str, str], ...]) -> None:
    async with visiting(own, "hana") as tab:
        page = await tab.send("/invitations", *fields)
        wanted = "Choose a plant" if any("@" in text for _, text in fields) else "at least one"
        assert wanted in words(page)
        many = " ".join(f"{number}@example.com" for number in range(30))
        assert is_page(await tab.send("/invitations", ("emails", many), ("plant_id", "x")), 200)
    assert await own.owner("select count(*) from invitations where accepted_at is null") == 0


@pytest.mark.parametrize("who", ["ana", "dev"])
async def test_the_page_is_for_who_may_invite(own: Served, who: str) -> None:
    async with visiting(own, who) as tab:
        assert is_page(await tab.get("/invitations"), 403)
        assert "/invitations" not in (await tab.get("/")).text
