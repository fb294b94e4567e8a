"""Which database, and how each login role reaches it: embedded, or where the settings say."""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

import asyncpg

from specchem.db import embedded
from specchem.db.upgrade import supply_platform
from specchem.errors import Stopped
from specchem.settings import Settings, is_loopback

API = "specchem_api"  # requests: becomes `authenticated` for a transaction, and nothing else
# Supabase Auth keeps a list of its own migrations; the schema that we supply has none.
IS_SUPABASE = "select to_regclass('auth.schema_migrations') is not null"
AUTH = "supabase_auth_admin"  # the local auth service: owns schema auth, sees nothing of ours


@dataclass(frozen=True)
class Database:
    """The addresses of one database: the owner's (upgrade, seed, command line), the requests', the auth service's.

    ``platform`` is a superuser's where we have one: of the embedded server.
    """

    owner: str
    api: str
    auth: str
    platform: str

    @property
    def is_embedded(self) -> bool:
        """Ours alone, so that we may upgrade it unasked."""
        return self.platform != self.owner


@contextmanager
def opened(settings: Settings, say: Callable[[str], None]) -> Iterator[Database]:
    """The database of these settings; an embedded one runs until the last user leaves. Raises Stopped."""
    if settings.database_url is not None:
        owner = with_tls(settings.database_url)
        api = with_tls(settings.api_database_url) if settings.api_database_url else login_url(owner, API)
        yield Database(owner, api, login_url(owner, AUTH), platform=owner)
        return
    with embedded.start(embedded.default_folder(settings.data_dir), say=say) as running:
        yield of_server(running.server)


def of_server(server: embedded.Server, name: str = "postgres") -> Database:
    """A database of an embedded server, where the socket knows who we are."""
    return Database(*(server.dsn(role, name) for role in ("postgres", API, AUTH, "supabase_admin")))


def with_tls(address: str) -> str:
    """The address, asking for TLS where it leaves this machine and does not say itself what it wants."""
    parts = urlsplit(address)
    told = dict(parse_qsl(parts.query))
    host = told.get("host") or parts.hostname or ""
    if "sslmode" in told or not host or host.startswith("/") or is_loopback(host):
        return address
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, "sslmode=require"]))))


def login_url(owner: str, role: str) -> str:
    """The owner's address with another role, whose password follows from the owner's.

    Nothing is stored, every process that knows the owner's address finds the same, and neither password tells
    the other. A pooler's suffix (``postgres.ref``) is kept.
    """
    parts = urlsplit(owner)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    suffix = user.partition(".")[1] + user.partition(".")[2]
    login = quote(role + suffix, safe="") + (f":{derived_password(password, role)}" if password else "")
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{login}@{place}"))


def derived_password(owner_password: str, role: str) -> str:
    """A login role's password, from the owner's."""
    mac = hmac.digest(owner_password.encode(), f"specchem login {role}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


async def ensure_ready(database: Database) -> None:
    """What must stand before an upgrade: on a plain PostgreSQL, Supabase's roles and schema auth."""
    await supply_platform(database.platform)


async def ensure_logins(database: Database) -> None:
    """Let the login roles in with the passwords that ``login_url`` gives them. Needs the upgrade first.

    Where Supabase Auth itself runs, its login is its own: nobody but Supabase sets that password.
    """
    owner = urlsplit(database.owner)
    if database.is_embedded or not owner.password:
        return
    connection = await asyncpg.connect(database.owner)
    try:
        is_supabase = await connection.fetchval(IS_SUPABASE)
        for url, role in ((database.api, API), *([] if is_supabase else [(database.auth, AUTH)])):
            password = derived_password(unquote(owner.password), role)
            if urlsplit(url).password != password or await _can_log_in(url):
                continue
            # A verifier instead of the password: the statement may be logged.
            await connection.execute(f"alter role {role} password '{scram_verifier(password)}'")
    except asyncpg.InsufficientPrivilegeError as error:
        raise Stopped(
            f"Role {role} needs a password that the owner may not set; set it once by hand."
        ) from error
    finally:
        await connection.close()


async def _can_log_in(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await connection.close()
    return True


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores of a password (RFC 5803)."""
    salt, rounds = os.urandom(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    text = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${rounds}:{text[0]}${text[1]}:{text[2]}"
