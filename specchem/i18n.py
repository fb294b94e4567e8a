"""The reader's language: sentences from the catalogs in ``locales/``, dates and numbers as they are written there.

Templates and pages say ``_("…")``; a constant that is told later is marked ``N_("…")``. Sentences of errors, the
database's among them, stay English in programs and logs, and are told to a person by ``told``.
"""

import gettext
import io
import re
from contextvars import ContextVar
from datetime import date, datetime, tzinfo
from functools import cache
from pathlib import Path

from babel.core import Locale
from babel.dates import format_datetime
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

LANGUAGES = {"en": "English", "es": "Español"}
DEFAULT = "en"
COOKIE = "specchem-language"
HERE = Path(__file__).parent / "locales"
HOLE = re.compile(r"%s|\{\}")  # as format() of the database and of Python leave them

_spoken: ContextVar[str] = ContextVar("language", default=DEFAULT)


def speak(language: str) -> None:
    """From here on, in this request, this language; one we do not speak is English."""
    _spoken.set(language if language in LANGUAGES else DEFAULT)


def language() -> str:
    """The language of this request."""
    return _spoken.get()


def preferred(cookie: str | None, accepted: str) -> str:
    """The language to speak: the one chosen on this device, else the first of ``Accept-Language`` that we speak."""
    if cookie in LANGUAGES:
        return cookie
    wishes = []
    for part in accepted[:200].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((float(weight or 1), tag[:2].lower()))
        except ValueError:
            continue
    wishes.sort(key=lambda wish: -wish[0])
    return next((tag for weight, tag in wishes if tag in LANGUAGES and weight > 0), DEFAULT)


def N_(sentence: str) -> str:  # noqa: N802  gettext's own name
    """Mark a sentence that is told later."""
    return sentence


# What libraries say of a form or an address, in their words.
LIBRARIES = (
    N_("value is not a valid email address: {}"),
    "An email address must have an @-sign.",
    "There must be something before the @-sign.",
    "There must be something after the @-sign.",
    "The part after the @-sign is not valid. It should have a period.",
    "An email address cannot have two periods in a row.",
    "An email address cannot have a period immediately after the @-sign.",
    "An email address cannot end with a period.",
    N_("The email address contains invalid characters before the @-sign: {}"),
    N_("The part after the @-sign contains invalid characters: {}"),
    N_("String should have at most {} characters"),
    N_("Invalid UUID"),
    N_("Expected `int` >= {}"),
    N_("Expected `int` <= {}"),
    N_("Expected `int`, got `str`"),
)


def _(sentence: str) -> str:
    """The sentence in the reader's language."""
    return translations(language()).gettext(sentence)


def ngettext(one: str, many: str, number: int) -> str:
    """The sentence for that number of things; ``%(num)s`` is the number."""
    return translations(language()).ngettext(one, many, number)


def told(sentence: str) -> str:
    """An error's sentence in the reader's language, with what was put into it."""
    spoken = language()
    if spoken == DEFAULT or not sentence:
        return sentence
    known = translations(spoken)
    if (found := known.gettext(sentence)) != sentence:
        return found
    for pattern, holed in _patterns():
        if match := pattern.fullmatch(sentence):
            return _filled(known.gettext(holed), match.groups())
    return sentence


def day(moment: datetime | date | None, zone: tzinfo) -> str:
    """A date by the plant's clock: Nov 22, 2026; nothing for none. A date without a time is one already."""
    return "" if moment is None else _date(_at(moment, zone), {"en": "MMM d, y", "es": "d MMM y"})


def short_day(moment: datetime | date, zone: tzinfo) -> str:
    """A day of this year, as short as a chart needs it: Nov 22."""
    return _date(_at(moment, zone), {"en": "MMM d", "es": "d MMM"})


def month(moment: datetime, zone: tzinfo) -> str:
    """A month: Nov 2026."""
    return _date(moment.astimezone(zone), {"en": "MMM y", "es": "MMM y"})


def minute(moment: datetime | None, zone: tzinfo) -> str:
    """A date and time of day by the plant's clock; nothing for none."""
    forms = {"en": "MMM d, y, h:mm a", "es": "d MMM y, H:mm"}
    return "" if moment is None else _date(moment.astimezone(zone), forms)


def number(value: float) -> str:
    """A number with the language's separators: 12,345."""
    return format_decimal(value, locale=locale())


def percent(share: float) -> str:
    """33.33 → 33%; a trace is not nothing, and nearly all is not all."""
    whole = round(share)
    if 0 < share < 100:
        whole = min(max(whole, 1), 99)
    return format_percent(whole / 100, locale=locale())


def language_name(code: str) -> str:
    """What a language is called in the reader's: Spanish; its code where nobody calls it anything."""
    return str(locale().languages.get(code, code))


def locale() -> Locale:
    """Babel's locale of the language. Spanish as in the United States, where our plants are."""
    return _locale(language())


def catalog(spoken: str) -> Catalog:
    """A language's catalog as the file holds it."""
    with (HERE / f"{spoken}.po").open("rb") as file:
        return read_po(file, locale=spoken)


def _at(moment: datetime | date, zone: tzinfo) -> datetime | date:
    return moment.astimezone(zone) if isinstance(moment, datetime) else moment


def _date(moment: datetime | date, forms: dict[str, str]) -> str:
    return format_datetime(moment, forms[language()], locale=locale())


@cache
def _locale(spoken: str) -> Locale:
    return Locale.parse({"en": "en_US", "es": "es_US"}[spoken])


@cache
def translations(spoken: str) -> gettext.NullTranslations:
    """A language's sentences by the English ones."""
    if spoken == DEFAULT:
        return gettext.NullTranslations()
    # Compiled here and now: a file of machine code beside the text could be older than it.
    compiled = io.BytesIO()
    write_mo(compiled, catalog(spoken))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Sentences with holes, as what they look like when filled."""
    known = [str(message.id) for message in catalog("es") if message.id and isinstance(message.id, str)]
    # The one that says most comes first: another may be a part of it.
    holed = sorted(filter(HOLE.search, known), key=lambda one: -len("".join(_solid(one))))
    return [(re.compile("(.*)".join(map(re.escape, _solid(one))), re.DOTALL), one) for one in holed]


def _solid(sentence: str) -> list[str]:
    """What stands between the holes."""
    return [part.replace("%%", "%") for part in HOLE.sub("\0", sentence).split("\0")]


def _filled(sentence: str, values: tuple[str, ...]) -> str:
    """The sentence with what was put into it, which may be a sentence itself."""
    solid = _solid(sentence)
    return "".join(part + told(value) for part, value in zip(solid, (*values, ""), strict=True))
