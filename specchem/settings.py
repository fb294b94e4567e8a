"""Settings, each with a default that runs; read from the environment, prefix ``SPECCHEM_``."""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, HttpUrl, ValidationError
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


PostgresUrl = Annotated[str, AfterValidator(_address)]


class Settings(BaseSettings):
    """What can be set; the field ``host`` is the variable ``SPECCHEM_HOST``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

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


def load() -> Settings:
    """The settings of this process. Raises Stopped with a sentence that names each wrong variable."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
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
            f"{PREFIX}{str(fault['loc'][0]).upper()} is wrong: {fault['msg'].removeprefix('Value error, ')}."
            for fault in error.errors(include_input=False, include_context=False)
        ]
        raise Stopped("\n".join(wrong)) from None
    if wrong:
        raise Stopped("\n".join(wrong))
    return settings
