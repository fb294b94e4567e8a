"""Signing in and out, as pages."""

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Template

from specchem.auth.errors import AuthError
from specchem.auth.guard import COOKIE, Ask, no_session_cookie, own_page, session_cookie
from specchem.auth.service import sessions, sign_in
from specchem.auth.service.callers import caller_of
from specchem.auth.service.service import Service
from specchem.auth.tokens import Tokens
from specchem.errors import NotSignedIn


@get("/login")
async def login_form(request: Ask) -> Template:
    """The form; it remembers where the visitor was going."""
    return Template("auth/login.html", context={"next": own_page(request.query_params.get("next"))})


@post("/login", status_code=200)
async def login(request: Ask, auth: NamedDependency[Service]) -> Response[None] | Template:
    """Sign in and go on; a mistake shows the form again with a sentence and the address kept."""
    form = await request.form()
    email, password = str(form.get("email") or ""), str(form.get("password") or "")
    going = own_page(str(form.get("next") or ""))
    secure = request.app.state.secure
    try:
        if "\0" in email + password or len(password) > 1000 or len(email) > 254:
            raise AuthError(400, "validation_failed", "Invalid login credentials")
        session = await sign_in.with_password(auth, caller_of(request), email, password)
    except AuthError as error:
        sentence = {
            "user_banned": "This account is closed. Ask your HR team.",
            "email_not_confirmed": "This address is not confirmed yet; follow the link in the mail we sent.",
        }.get(error.code, "E-mail address and password do not go together. Please try again.")
        return Template(
            "auth/login.html",
            context={"next": going, "email": email[:254], "sentence": sentence},
            status_code=400,
            cookies=[no_session_cookie(secure=secure)],
        )
    return Redirect(going, status_code=303, cookies=[session_cookie(session["access_token"], secure=secure)])


@post("/logout", status_code=303)
async def logout(request: Ask, tokens: NamedDependency[Tokens], auth: NamedDependency[Service]) -> Redirect:
    """End the session here and in the browser."""
    try:
        session = tokens.verify(request.cookies.get(COOKIE, "")).identity.session_id
        if session is not None:
            async with auth.transaction() as connection:
                await sessions.end(connection, session)
    except NotSignedIn:
        pass  # already out
    return Redirect("/login", status_code=303, cookies=[no_session_cookie(secure=request.app.state.secure)])


router = Router("/", route_handlers=[login_form, login, logout], include_in_schema=False)
