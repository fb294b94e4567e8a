"""The pages in Spanish, by a choice kept on the device or by the browser's wish; programs are told in English."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import pytest

from specchem import i18n
from tests.web.served import Served
from tests.web.visiting import Tab, crumbs, field, goes_to, is_page, visiting, words

HAZMAT = "/courses/function-specific-hazmat"
HTMX = {"hx-request": "true"}


@asynccontextmanager
async def spanish(served: Served, who: str | None = None) -> AsyncIterator[Tab]:
    """A visitor who chose Spanish."""
    async with visiting(served, who) as tab:
        tab.client.cookies.set(i18n.COOKIE, "es", domain="test.local")
        yield tab


def is_spanish(answer: httpx.Response, *said: str, status: int = 200) -> bool:
    assert is_page(answer, status)
    assert '<html lang="es">' in answer.text
    for one in said:
        assert one in words(answer)
    return True


async def test_everybodys_pages_are_in_spanish(served: Served) -> None:
    async with spanish(served) as tab:
        assert is_spanish(await tab.get("/login"), "Iniciar sesión", "Contraseña", "¿No tiene cuenta?")
        assert is_spanish(await tab.get("/forgot-password"), "¿Olvidó su contraseña?", "Enviar el enlace")
        refused = await tab.sign_in("nobody")
        assert is_spanish(refused, "El correo electrónico y la contraseña no coinciden.", status=400)
        assert is_spanish(await tab.get("/auth/confirm"), "Este enlace no funciona", status=400)
        assert is_spanish(await tab.get("/no/such/page"), "No hay nada en esta dirección.", status=404)


async def test_a_learners_pages_are_in_spanish(served: Served) -> None:
    section = next(iter(served.world.answers))[0]
    question = f"{HAZMAT}/{'/'.join(next(iter(served.world.answers)))}"
    async with spanish(served, "bo") as tab:
        home = await tab.get("/")
        assert is_spanish(home, "Mis cursos")
        assert "Cerrar sesión" in home.text
        assert is_spanish(await tab.get(HAZMAT), "Una sección está terminada cuando")
        assert is_spanish(await tab.get(f"{HAZMAT}/{section}"), "% hecho", "Preguntas", "Continuar")
        assert is_spanish(await tab.get(f"{HAZMAT}/none"), "Este curso no tiene esa sección.", status=404)
        assert is_spanish(await tab.send(question), "Primero elija una respuesta.", status=400)
        wrong = await tab.send(question, ("choice", "none"))
        assert is_spanish(wrong, "La pregunta no tiene esa opción.", status=400)
        htmx = await tab.send(question, ("event_id", "?"), **HTMX)
        assert "No se pudo leer el formulario" in htmx.text


async def test_the_account_is_in_spanish(served: Served) -> None:
    async with spanish(served, "bo") as tab:
        assert is_spanish(await tab.get("/account"), "Su cuenta", "Segundo factor", "Cambie su contraseña")
        short = await tab.send("/password", ("current", "x"), ("password", "short"), ("again", "short"))
        assert is_spanish(short, "Elija una contraseña de 8 caracteres o más.", status=400)


async def test_what_managers_and_hr_see_is_in_spanish(served: Served) -> None:
    plant = served.world.plant["Columbus, OH"]
    async with spanish(served, "hana") as tab:
        assert is_spanish(await tab.get(f"/plants/{plant}"), "terminado", "Sin comenzar")
        assert is_spanish(
            await tab.get("/company"), "Empresa", "inscripciones terminadas", "personas activas"
        )
        for asked, told in (
            ("offset=-1", "Revise offset. offset: Se espera un número entero, como mínimo 0"),
            ("offset=9999999", "Se espera un número entero, como máximo 1000000"),
            ("offset=x", "offset: Se espera un número entero"),
            ("course_id=x", "No es un identificador (UUID) válido"),
        ):
            assert is_spanish(await tab.get(f"/plants/{plant}?{asked}"), told, status=400)
    async with spanish(served, "bo") as tab:
        refused = await tab.get(f"/plants/{plant}")
        assert is_spanish(refused, "Solo los gerentes de esta planta y Recursos Humanos", status=403)


async def test_what_is_wrong_with_an_invitation_is_told_in_spanish(served: Served) -> None:
    wrong = {
        "nope": "Una dirección de correo electrónico debe tener una arroba (@).",
        "@x.de": "Debe haber algo antes de la arroba.",
        "a@": "Debe haber algo después de la arroba.",
        "a@b": "La parte después de la arroba no es válida. Debe tener un punto.",
        "a(@b.de": "La dirección tiene caracteres no válidos antes de la arroba: '('.",
        "a@b_c.de": "La parte después de la arroba tiene caracteres no válidos: '_'.",
        "a..b@x.de": "Una dirección de correo electrónico no puede tener dos puntos seguidos.",
        "a@.x.de": "Una dirección de correo electrónico no puede tener un punto justo después",
        "a@x.de.": "Una dirección de correo electrónico no puede terminar con un punto.",
    }
    plant = ("plant_id", str(served.world.plant["Columbus, OH"]))
    async with spanish(served, "hana") as tab:
        assert is_spanish(await tab.get("/invitations"), "Invitar a personas", "Gerente de la planta")
        answer = await tab.send("/invitations", ("emails", " ".join(wrong)), plant)
        assert is_spanish(answer, *(f"{email} : {told}" for email, told in wrong.items()))
        long = await tab.send("/invitations", ("emails", "a@x.de"), plant, ("job_title", "x" * 101))
        assert is_spanish(long, "puesto: Debe tener como máximo 100 caracteres")
        there = await tab.send("/invitations", ("emails", "ana@example.com"), plant)
        assert is_spanish(there, "Ya hay una persona con este correo electrónico.")
        assert is_spanish(
            await tab.send("/invitations", plant), "Indique al menos un correo electrónico.", status=400
        )


async def test_a_browser_that_wishes_spanish_gets_it(served: Served) -> None:
    async with visiting(served) as tab:
        assert is_spanish(await tab.get("/login", **{"accept-language": "es-MX,en;q=0.5"}), "Iniciar sesión")
        assert '<html lang="en">' in (await tab.get("/login", **{"accept-language": "en-US"})).text


@pytest.mark.parametrize(
    ("who", "page"), [(None, "/login?next=%2Faccount"), ("bo", "/"), ("bo", f"{HAZMAT}/classification")]
)
async def test_a_language_is_chosen_and_the_visitor_stays(served: Served, who: str | None, page: str) -> None:
    async with visiting(served, who) as tab:
        before = await tab.get(page)
        assert '<html lang="en">' in before.text
        tab.csrf = field(before, "_csrf_token")
        answer = await tab.send("/language", ("language", "es"), referer=f"http://test{page}")
        assert goes_to(answer, page)
        cookie = crumbs(answer)[i18n.COOKIE]
        assert (cookie.value, cookie["httponly"], cookie["samesite"], cookie["path"]) == (
            "es",
            True,
            "lax",
            "/",
        )
        assert is_spanish(await tab.get(page))
        await tab.send("/language", ("language", "en"))
        assert '<html lang="en">' in (await tab.get(page)).text


@pytest.mark.parametrize("wanted", ["", "xx", "../es", "es\r\nset-cookie: a=b", "<script>", "e" * 5000])
async def test_a_language_that_there_is_not_is_english(served: Served, wanted: str) -> None:
    async with visiting(served) as tab:
        answer = await tab.send(
            "/language", ("language", wanted), referer="http://evil.example//evil.example"
        )
        assert goes_to(answer, "/")
        assert crumbs(answer)[i18n.COOKIE].value == "en"
        assert set(crumbs(answer)) == {i18n.COOKIE}
        tab.client.cookies.clear()
        spoken = await tab.get("/login", cookie=f"{i18n.COOKIE}={quote(wanted)}")
        assert '<html lang="en">' in spoken.text


async def test_programs_are_told_in_english(served: Served) -> None:
    wish = {"accept-language": "es", "cookie": f"{i18n.COOKIE}=es"}
    async with spanish(served) as tab:
        await tab.get("/login")
    for who, path, detail in (
        (None, "/api/v1/me", "Send an access token: Authorization: Bearer …"),
        ("bo", "/api/v1/none", "There is nothing at this address."),
    ):
        told = (await served.ask(who, "GET", path, headers=wish)).json()
        assert told["detail"] == detail
