"""What the auth service's routes may be sent, as Supabase's clients send it; what else they send is left aside."""

from typing import Annotated, Any, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from specchem.auth.service.flows import Challenge
from specchem.vocabulary import Input, as_meta


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("control characters are not allowed")
    return text


def _address(text: str) -> str:
    # Strictly one address and nothing around it: it becomes the header of a mail.
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise ValueError("Unable to validate email address: invalid format") from None


def _absent(value: object) -> object:
    # Clients send null, or nothing, for what is not set.
    return None if value == "" else value


Plain = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_storable)]
Address = Annotated[str, StringConstraints(min_length=3, max_length=254), AfterValidator(_address)]
Data = Annotated[dict[str, Any], AfterValidator(as_meta)]
Verifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{43,128}$")]
TokenHash = Annotated[str, StringConstraints(max_length=200), AfterValidator(_storable)]
Digits = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(_storable)]
LinkType = Literal["signup", "invite", "recovery", "magiclink", "email", "email_change"]


class Body(Input):
    """A request's body."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Asked(Body):
    """A body that may hold the PKCE challenge of whoever asks for a mail."""

    code_challenge: Annotated[Verifier | None, BeforeValidator(_absent)] = None
    code_challenge_method: Annotated[
        Literal["s256", "plain"] | None,
        BeforeValidator(lambda sent: sent.lower() or None if isinstance(sent, str) else sent),
    ] = None

    @model_validator(mode="after")
    def _both(self) -> "Asked":
        if (self.code_challenge is None) != (self.code_challenge_method is None):
            raise ValueError("PKCE flow requires code_challenge_method and code_challenge")
        return self

    @property
    def challenge(self) -> Challenge | None:
        """The two as one."""
        if self.code_challenge is None or self.code_challenge_method is None:
            return None
        return Challenge(self.code_challenge, self.code_challenge_method)


class Grant(Body):
    """One of three: address and password; a refresh token; a code and its verifier."""

    email: Annotated[str, StringConstraints(max_length=254), AfterValidator(_storable)] | None = None
    password: Plain | None = None
    refresh_token: TokenHash | None = None
    auth_code: TokenHash | None = None
    code_verifier: Annotated[str, StringConstraints(max_length=200), AfterValidator(_storable)] | None = None


class SignUp(Asked):
    """A new account; ``data`` is what somebody says of themselves, and nobody believes."""

    email: Address
    password: Plain
    data: Data | None = None


class Mailed(Asked):
    """An address that is to get a mail."""

    email: Address


class Otp(Mailed):
    """A link to sign in with; ``create_user``: make the account where there is none."""

    create_user: bool = True
    data: Data | None = None


class Resend(Asked):
    """The mail of a sign-up or of a change of address, once more."""

    type: Literal["signup", "email_change"]
    email: Address


class Verify(Body):
    """A link's token, or an address and the digits that it was mailed."""

    type: LinkType
    token_hash: TokenHash | None = None
    email: Address | None = None
    token: Digits | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Verify":
        if not self.token_hash and not (self.email and self.token):
            raise ValueError("Verify requires a token or a token hash")
        return self


class UserUpdate(Asked):
    """What somebody changes about their own account."""

    email: Annotated[Address | None, BeforeValidator(_absent)] = None
    password: Annotated[Plain | None, BeforeValidator(_absent)] = None
    data: Data | None = None
    nonce: Digits | None = None
    current_password: Plain | None = None
    app_metadata: Data | None = None


class Enroll(Body):
    """A second factor to set up."""

    factor_type: Plain
    friendly_name: Annotated[str, StringConstraints(max_length=100), AfterValidator(_storable)] | None = None
    issuer: Annotated[str, StringConstraints(max_length=100), AfterValidator(_storable)] | None = None


class Shown(Body):
    """A code of a second factor."""

    challenge_id: UUID
    code: Digits


class Invite(Body):
    """Somebody to invite."""

    email: Address
    data: Data | None = None


class AdminUser(Body):
    """What an admin says of an account."""

    id: UUID | None = None
    email: Annotated[Address | None, BeforeValidator(_absent)] = None
    password: Annotated[Plain | None, BeforeValidator(_absent)] = None
    password_hash: Annotated[str | None, StringConstraints(pattern=r"^\$argon2id\$[ -~]{20,200}$")] = None
    email_confirm: bool = False
    user_metadata: Data | None = None
    app_metadata: Data | None = None
    role: Literal["authenticated", ""] | None = None
    ban_duration: Plain | None = None


class DeleteUser(Body):
    """How much of an account is to go."""

    should_soft_delete: bool = False


class GenerateLink(Body):
    """A link that an admin sends in their own way."""

    type: Literal["signup", "invite", "recovery", "magiclink", "email_change_current", "email_change_new"]
    email: Address
    new_email: Annotated[Address | None, BeforeValidator(_absent)] = None
    password: Annotated[Plain | None, BeforeValidator(_absent)] = None
    data: Data | None = None
    redirect_to: Plain | None = Field(default=None)
