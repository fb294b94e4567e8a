"""How mail leaves: by SMTP, into the outbox, or not at all."""

import email.policy
import stat
from collections.abc import AsyncIterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from pydantic import SecretStr

from specchem.auth.service.letters import WORDS, Letter, confirm_address
from specchem.auth.service.mail import NotSent, Outbox, Smtp, open_mailer
from specchem.db.database import Database
from specchem.errors import Stopped
from specchem.settings import Settings
from tests.auth.service.site import ANA, NEW, Site, refused, site_of
from tests.conftest import Cluster

SENDER = "training@example.com"
LINK = "https://training.example.com/auth/confirm?token_hash=abc&type=invite"


class Box:
    """A mail server's store."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's
        self.taken.append(envelope)
        return "250 OK"


@pytest.fixture
async def box(unused_tcp_port: int) -> AsyncIterator[tuple[Box, Controller]]:
    kept = Box()

    def check(*said: Any) -> AuthResult:
        good = said[-1].login == b"me@example.com" and said[-1].password == b"p@ss:word"
        return AuthResult(success=good, handled=good)

    server = Controller(
        kept, hostname="127.0.0.1", port=unused_tcp_port, authenticator=check, auth_require_tls=False
    )
    server.start()
    yield kept, server
    server.stop()


def smtp(server: Controller, login: str = "") -> Smtp:
    address = SecretStr(f"smtp://{login}127.0.0.1:{server.port}")
    made = open_mailer(Settings(smtp_url=address, mail_from=SENDER), Path(), print)
    assert isinstance(made, Smtp)
    return made


@pytest.mark.parametrize("login", ["", "me%40example.com:p%40ss%3Aword@"])
async def test_a_mail_server_gets_it(box: tuple[Box, Controller], login: str) -> None:
    kept, server = box
    await smtp(server, login).send(Letter("invite", NEW, LINK, "123456"))
    (envelope,) = kept.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [NEW])
    assert isinstance(envelope.content, bytes)
    message = message_from_bytes(envelope.content, policy=email.policy.default)
    assert message["To"] == NEW
    assert message["From"] == f"SpecChem Safety Training <{SENDER}>"
    assert message["Auto-Submitted"] == "auto-generated"
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        assert part is not None
        assert "123456" in part.get_content()
        assert LINK.replace("&", "&amp;" if kind == "html" else "&") in part.get_content()


async def test_what_a_mail_server_refuses_is_said_without_its_words(box: tuple[Box, Controller]) -> None:
    _, server = box
    with pytest.raises(NotSent) as caught:
        await smtp(server, "me:wrong@").send(Letter("invite", NEW, LINK, "123456"))
    assert str(caught.value) == "SMTPAuthenticationError"


async def test_where_no_mail_server_answers(unused_tcp_port: int) -> None:
    address = SecretStr(f"smtp://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(NotSent, match=r"^SMTPConnectError$"):
        await open_mailer(Settings(smtp_url=address), Path(), print).send(Letter("invite", NEW, LINK))


@pytest.mark.parametrize(
    ("address", "host", "port", "tls"),
    [("smtp://mail.example.com", "mail.example.com", 587, False),
     ("smtps://mail.example.com", "mail.example.com", 465, True),
     ("smtp://u:p@mail.example.com:25", "mail.example.com", 25, False)],
)  # fmt: skip
def test_the_address_of_a_mail_server(address: str, host: str, port: int, tls: bool) -> None:
    made = open_mailer(Settings(smtp_url=SecretStr(address)), Path(), print)
    assert isinstance(made, Smtp)
    assert (made.host, made.port, made.tls) == (host, port, tls)


@pytest.mark.parametrize(
    "address", ["mail.example.com", "http://mail.example.com", "smtp://", "smtp://x:y@z:port", "s3cret"]
)
def test_what_is_no_address_of_one_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(Stopped, match="SPECCHEM_SMTP_URL") as caught:
        open_mailer(Settings(smtp_url=SecretStr(address)), Path(), print)
    assert "s3cret" not in str(caught.value)


async def test_a_password_goes_to_another_machine_encrypted_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    async def send(*_: Any, **how: Any) -> None:
        asked.append(how)

    monkeypatch.setattr("aiosmtplib.send", send)
    for address in ("smtp://u:p@mail.example.com", "smtps://u:p@mail.example.com", "smtp://mail.example.com"):
        mailer = open_mailer(Settings(smtp_url=SecretStr(address)), Path(), print)
        await mailer.send(Letter("invite", NEW, LINK))
    assert [(how["use_tls"], how["start_tls"]) for how in asked] == [
        (False, True),
        (True, None),
        (False, None),
    ]


async def test_the_outbox_is_this_users_alone_and_its_link_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    await Outbox(tmp_path / "outbox", SENDER, said.append).send(Letter("invite", NEW, LINK, "123456"))
    assert said == [f"Mail to {NEW}: {LINK}"]
    (file,) = (tmp_path / "outbox").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert NEW not in file.name


@pytest.mark.parametrize(
    "to",
    ["a@b.co\r\nBcc: x@y.z", "a@b.co\nX: y", "a@b.co, c@d.co", "<a@b.co>", "a", "",
     "zoë@b.co\r\nBcc: x@y.z", "a@b.co\0"],
)  # fmt: skip
async def test_no_letter_goes_to_what_is_no_address(tmp_path: Path, to: str) -> None:
    with pytest.raises(NotSent):
        await Outbox(tmp_path / "outbox", SENDER, print).send(Letter("invite", to, LINK))
    assert not (tmp_path / "outbox").exists()


@pytest.mark.parametrize(
    ("to", "known_as"),
    [("zoe@exämple.com", "zoe@xn--exmple-cua.com"), ("zoë@example.com", "zoë@example.com")],
)
def test_foreign_letters(to: str, known_as: str) -> None:
    letter = Letter("invite", to, LINK)
    assert letter.address == known_as
    assert known_as in letter.message(SENDER).as_bytes().decode()


@pytest.mark.parametrize("kind", WORDS)
def test_every_letter_can_be_read(kind: str) -> None:
    link = None if kind == "reauthentication" else LINK
    text = Letter(kind, NEW, link, "123456").message(SENDER).as_bytes().decode()
    assert all(len(line) <= 998 for line in text.splitlines())
    assert "quoted-printable" not in text  # a link in pieces
    assert "base64" not in text


def test_where_a_link_goes_on_to_cannot_leave_its_place() -> None:
    link = confirm_address("https://x.example", "abc", "invite", "/a?b=c&type=recovery#d")
    assert link.endswith("&type=invite&next=/a%3Fb%3Dc%26type%3Drecovery%23d")


async def test_an_invitation_that_cannot_be_mailed_is_an_error_and_leaves_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.outbox.write_text("in the way")
    answer = await site.post("invite", {"email": NEW}, admin=True)
    assert refused(answer, 500, "unexpected_failure")
    assert "could not be mailed" in answer.json()["msg"]
    assert await site.owner("select count(*) from auth.users where email = $1", NEW) == 0
    assert NEW not in caplog.text
    site.outbox.unlink()
    assert (await site.post("invite", {"email": NEW}, admin=True)).status_code == 200
    site.outbox.rename(site.outbox.with_name("elsewhere"))
    site.outbox.write_text("in the way")
    assert refused(await site.post("invite", {"email": NEW}, admin=True), 500, "unexpected_failure")
    assert await site.owner("select count(*) from auth.users where email = $1", NEW) == 1  # who waits, waits


async def test_mail_under_way_is_sent_before_the_server_ends(
    cluster: Cluster, fresh: Database, tmp_path: Path
) -> None:
    async with site_of(fresh, cluster.world, tmp_path / "data") as site:
        assert (await site.post("recover", {"email": ANA})).status_code == 200
        outbox = site.outbox
    assert len(list(outbox.iterdir())) == 1
