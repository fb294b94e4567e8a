"""PKCE (RFC 7636): a link's code is good only for whoever asked for the link."""

import base64
import secrets
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from uuid import UUID, uuid4

from specchem.auth.errors import AuthError
from specchem.db.session import Connection

UNKNOWN = (404, "flow_state_not_found", "invalid flow state, no valid flow state found")
WRONG = (400, "bad_code_verifier", "code challenge does not match previously saved code verifier")


@dataclass(frozen=True)
class Challenge:
    """What the asker's secret, the verifier, must come to; ``method``: s256 or plain."""

    text: str
    method: str


async def begin(connection: Connection, account: UUID, kind: str, challenge: Challenge) -> None:
    """Remember who asks for a link of a kind; whoever asked before does not get it any more."""
    await connection.execute(
        "delete from auth.flow_state where user_id = $1 and authentication_method = $2", account, kind
    )
    await connection.execute(
        """
        insert into auth.flow_state (
            id, user_id, auth_code, code_challenge_method, code_challenge, provider_type, authentication_method,
            created_at, updated_at)
        values ($1, $2, $3, $4, $5, 'email', $6, now(), now())""",
        uuid4(), account, secrets.token_urlsafe(32), challenge.method, challenge.text, kind,
    )  # fmt: skip


async def reached(connection: Connection, account: UUID, kind: str) -> str | None:
    """The link was followed: a code for its asker, good for five minutes."""
    code: str | None = await connection.fetchval(
        "update auth.flow_state set auth_code = $3, auth_code_issued_at = now(), updated_at = now()"
        " where user_id = $1 and authentication_method = $2 returning auth_code",
        account, kind, secrets.token_urlsafe(32),
    )  # fmt: skip
    return code


async def redeem(connection: Connection, code: str, verifier: str) -> UUID:
    """The account that a code stands for, once. Raises AuthError."""
    row = await connection.fetchrow(
        "delete from auth.flow_state where auth_code = $1 and auth_code_issued_at > now() - interval '5 minutes'"
        " returning user_id, code_challenge, code_challenge_method::text as method",
        code,
    )
    if row is None or row["user_id"] is None:
        raise AuthError(*UNKNOWN)
    made = verifier if row["method"] == "plain" else _s256(verifier)
    if not compare_digest(made.encode(), row["code_challenge"].encode()):
        raise AuthError(*WRONG)
    account: UUID = row["user_id"]
    return account


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
