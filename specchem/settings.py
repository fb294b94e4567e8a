"""Settings, each with a default that runs; read from the environment: ``SPECCHEM_…``, and Supabase's own names."""

import os
import re
from datetime import time
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    EmailStr,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from specchem.errors import Stopped

PREFIX = "SPECCHEM_"


def _address(text: str) -> str:
    # Not Pydantic's PostgresDsn, which knows no Unix socket: postgresql://me@/name?host=/run/postgresql
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"postgres", "postgresql"} and text.startswith(f"{parts.scheme}://")
        good = good and (parts.port is None or parts.port > 0) and not re.search(r"\s", text)
    except ValueError:  # a port that is no number, or too large
        good = False
    if not good:
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    return text


def _clock(text: object) -> object:
    # Not Pydantic's own reading, which takes 230 for a number of seconds, and zones.
    if isinstance(text, str):
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
            raise ValueError("must be a time of day such as 02:30")
        return time.fromisoformat(text)
    return text


PostgresUrl = Annotated[str, AfterValidator(_address)]


class Settings(BaseSettings):
    """What can be set; the field ``host`` is the variable ``SPECCHEM_HOST``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    database_url: Annotated[
        PostgresUrl | None, Field(description="The owner's connection. Absent: an embedded PostgreSQL.")
    ] = None
    api_database_url: Annotated[
        PostgresUrl | None,
        Field(description="The requests' connection, as role specchem_api. Absent: made from DATABASE_URL."),
    ] = None
    data_dir: Annotated[
        Path | None,
        Field(
            description="Folder of the embedded database and the signing key. Absent: the user's data folder."
        ),
    ] = None
    host: Annotated[str, Field(description="Address to listen on.", min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(description="Port to listen on.", ge=0, le=65535)] = 8000
    public_url: Annotated[
        HttpUrl | None,
        Field(description="Address people reach the server by. Absent: made from HOST and PORT."),
    ] = None
    pool_size: Annotated[
        int, Field(description="Database connections for requests, at most.", ge=1, le=100)
    ] = 10

    backup_dir: Annotated[
        Path | None,
        Field(description="Folder for nightly backups of the embedded database. Absent: none are made."),
    ] = None
    backup_at: Annotated[
        time, BeforeValidator(_clock), Field(description="When it is made, by this machine's clock.")
    ] = time(2, 30)
    backup_keep: Annotated[
        int, Field(description="Days after which a nightly backup is removed.", ge=1, le=3650)
    ] = 14
    log_format: Annotated[
        Literal["auto", "json", "text"],
        Field(description="Lines on stderr: json, text, or auto: json where stderr is no terminal."),
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        Field(description="The least that is logged. Absent: info as json, warning as text."),
    ] = None
    metrics_token: Annotated[
        SecretStr | None,
        Field(
            description="The bearer token that /metrics asks for. Absent: open to this machine's own programs"
            " where HOST and PUBLIC_URL are this machine's, else closed.",
            min_length=16,
        ),
    ] = None

    supabase_url: Annotated[
        HttpUrl | None,
        Field(
            validation_alias="SUPABASE_URL",
            description="The Supabase project whose Auth people sign in with. Absent: the local service.",
        ),
    ] = None
    supabase_publishable_key: Annotated[
        SecretStr | None,
        Field(
            validation_alias=AliasChoices("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"),
            description="The project's publishable key.",
        ),
    ] = None
    supabase_secret_key: Annotated[
        SecretStr | None,
        Field(
            validation_alias=AliasChoices("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
            description="The project's secret key, with which people are invited.",
        ),
    ] = None
    supabase_jwt_secret: Annotated[
        SecretStr | None,
        Field(
            validation_alias="SUPABASE_JWT_SECRET",
            description="The project's legacy secret. Absent: no HS256 token is believed.",
        ),
    ] = None
    sign_up: Annotated[
        bool, Field(description="Whether anybody may make themselves an account on the local service.")
    ] = False
    require_mfa_for_admins: Annotated[
        bool, Field(description="Whether managers, HR and dev admins need a second factor.")
    ] = False
    smtp_url: Annotated[
        SecretStr | None,
        Field(
            description="Where the local service sends mail: smtp://user:password@host:587 or smtps://…."
            " Absent: into the folder outbox beside the database."
        ),
    ] = None
    mail_from: Annotated[EmailStr, Field(description="The sender of the local service's mail.")] = (
        "training@localhost.localdomain"
    )
    idle_minutes: Annotated[
        int,
        Field(
            description="Minutes after which a page that nobody touches signs out: tablets are shared. 0: never.",
            ge=0,
            le=1440,
        ),
    ] = 30
    redirect_urls: Annotated[
        tuple[HttpUrl, ...],
        Field(
            description="Addresses besides PUBLIC_URL that the local service's links may lead to, as JSON."
        ),
    ] = ()

    @property
    def auth_url(self) -> str:
        """Where the auth service speaks Supabase Auth's language, without a slash at the end."""
        return f"{str(self.supabase_url or self.base_url).rstrip('/')}/auth/v1"

    @property
    def base_url(self) -> str:
        """Where people find the server, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return str(self.public_url or f"http://{host}:{self.port}").rstrip("/")


def is_loopback(host: str) -> bool:
    """Only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _variable(named: str) -> str:
    # Pydantic names a field by its alias where it has one.
    return variables().get(named, named)


def variables() -> dict[str, str]:
    """Each setting's environment variable, by field."""
    names = {}
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        first = alias.choices[0] if isinstance(alias, AliasChoices) else alias
        names[field] = str(first or PREFIX + field.upper())
    return names


def rows() -> list[tuple[str, str, str]]:
    """Each setting's variable, meaning and default, as a person reads them."""
    names = variables()
    return [
        (names[name], field.description or "", str(field.default) if field.default not in (None, ()) else "—")
        for name, field in Settings.model_fields.items()
    ]


def load() -> Settings:
    """The settings of this process. Raises Stopped with a sentence that names each wrong variable."""
    known = set(variables().values())
    wrong = [
        f"{name} is not a setting of SpecChem; known are {', '.join(sorted(known))}."
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known
    ]
    try:
        settings = Settings()
    except ValidationError as error:
        # The value is left out: a database address holds a password.
        wrong += [
            f"{_variable(str(fault['loc'][0]))} is wrong: {fault['msg'].removeprefix('Value error, ')}."
            for fault in error.errors(include_input=False, include_context=False)
        ]
        raise Stopped("\n".join(wrong)) from None
    if settings.supabase_url is not None and settings.database_url is None:
        wrong.append("SUPABASE_URL needs SPECCHEM_DATABASE_URL: the same project's database.")
    if settings.backup_dir is not None and settings.database_url is not None:
        wrong.append(
            "SPECCHEM_BACKUP_DIR is for the embedded database; let `specchem db backup` run by night for yours."
        )
    if wrong:
        raise Stopped("\n".join(wrong))
    return settings
