"""Owns how values look on pages: badges, moments, phones, money, strangers' text. Everything is escaped here or by the template.

Text of strangers is shown as they wrote it, except that what would act instead of being read (control characters, marks that
turn the direction of writing) is named in its place.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import pairwise
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from trackly.redaction import mask_phone

# Joiners (U+200C, U+200D) belong to words and emoji, and turn nothing.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]"
)
# As people and vendors space a number, in plain text and in URLs.
_GAP = r"(?:[ .()/-]{1,2}|%20|%28|%29|\+)?"
_NUMBER = re.compile(
    # A plus as itself, in a URL, in JSON; or the name of a field that holds a number.
    r"(?P<named>\+|%(?:25)*2b|\\u002b|(?<![a-z])(?:to|from|msisdn|wa_?id|(?:phone|mobile)(?:_?n(?:umber|o))?|number|recipient"
    r"|sender|destination|originator)[\"']?(?:=|\s*:\s*|%3d)[\"']?(?:\+|%2b)?)?"
    rf"(?P<number>(?<!\d)\d(?:{_GAP}\d){{6,19}})(?!\d)",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:19|20)\d\d-\d\d-\d\d")
_FIELD = re.compile(r"<textarea\b.*?</textarea>|<input\b[^>]*>", re.DOTALL | re.IGNORECASE)
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Badge:
    """A state in a word and its colour: good, bad, wait, note or plain."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another page of ours."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class To:
    """A way to the page of a row of ours (or, without a key, to the list of its table, filtered); which page that is, and whether
    there is one, the reader decides."""

    text: str
    model: str
    """Label of its table, in lower case: 'sendinglists.message'. Empty: what is searched for in all of them."""
    key: str = ""
    name: str = ""
    """By which its account's people know it: a public id where it has one."""
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Phone:
    """A number, masked unless the page is revealed."""

    number: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes or lines as they came, in a box."""

    text: str


Shown = str | int | None | datetime | Badge | Link | To | Phone | Raw


def staff_way(to: To) -> str:
    """The admin's page of it."""
    app, _, model = to.model.partition(".")
    if to.key:
        return reverse(f"admin:{app}_{model}_change", args=[to.key])
    path = reverse(f"admin:{app}_{model}_changelist" if model else "admin:find")
    return f"{path}?{urlencode(to.query)}" if to.query else path


def show(
    value: Shown, *, is_revealed: bool = False, way: Callable[[To], str] = staff_way, zone: tzinfo = UTC
) -> SafeString:
    """One value as HTML, for a reader who finds rows by `way` ('' leads nowhere) and tells times in `zone`."""
    match value:
        case None | "":
            return format_html('<span class="tk-none">{}</span>', "–")
        case datetime():
            return moment(value, zone)
        case To():
            return _way(way(value), _seen(value.text, is_revealed))
        case Badge(text, tone):
            return badge(text, tone)
        case Link(text, url):
            return _way(url, _seen(text, is_revealed))
        case Phone(number):
            return format_html("<span>{}</span>", phone(number, is_revealed=is_revealed))
        case Raw(text):
            return box(_seen(text, is_revealed))
        case _:
            return format_html("<bdi>{}</bdi>", plain(_seen(str(value), is_revealed)))


def _way(url: str, text: str) -> SafeString:
    if not url:
        return format_html("<bdi>{}</bdi>", plain(text))
    return format_html('<a class="tk-link" href="{}">{}</a>', url, plain(text))


def _seen(text: str, is_revealed: bool) -> str:
    return text if is_revealed else without_phones(text)


def plain(text: str, most: int = MOST) -> str:
    """A stranger's text with whatever would act instead of being read named in its place, cut to `most` characters."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    return _named(cut)


def short(text: str, most: int = 60) -> str:
    """One line of it, for a list: numbers in it are masked."""
    return plain(" ".join(without_phones(text).split()), most)


def harmless(html: str) -> str:
    """A page with whatever acts named in its place: the net under templates of others, which show names as they are.

    What stands in a field of a form stays, or saving the form would change it.
    """
    if not _ACTING.search(html):
        return html
    kept = [(found.start(), found.end()) for found in _FIELD.finditer(html)]
    bounds = [0, *(place for span in kept for place in span), len(html)]
    pieces = [html[start:end] for start, end in pairwise(bounds)]
    # Every other piece is a field.
    return "".join(piece if index % 2 else _named(piece) for index, piece in enumerate(pieces))


def _named(text: str) -> str:
    return _ACTING.sub(lambda found: f"‹U+{ord(found.group()):04X}›", text)


def badge(text: str, tone: str = "plain") -> SafeString:
    return format_html('<span class="tk-badge tk-{}">{}</span>', tone, plain(text))


def box(text: str) -> SafeString:
    return format_html('<pre class="tk-box">{}</pre>', plain(text.replace("\r\n", "\n")))


def decoded(raw: bytes | memoryview | None) -> str:
    """Bytes of a stranger as text; what is no UTF-8 stands as U+FFFD."""
    return bytes(raw or b"").decode("utf-8", "replace")


def moment(at: datetime, zone: tzinfo = UTC) -> SafeString:
    """To the second, in the zone; how long ago it is, and UTC where that is another time, on hover."""
    utc, local = at.astimezone(UTC), at.astimezone(zone)
    words = ago(datetime.now(UTC) - utc)
    if local.utcoffset():
        words = f"{words} · {utc:%Y-%m-%d %H:%M:%S} UTC"
    return format_html(
        '<time class="tk-time" datetime="{}" title="{}">{}</time>',
        utc.isoformat(timespec="milliseconds"), words, f"{local:%Y-%m-%d %H:%M:%S}",
    )  # fmt: skip


def ago(span: timedelta) -> str:
    """'3 min ago', 'in 5 min', 'now'."""
    if abs(span) < timedelta(seconds=1):
        return "now"
    return f"{lasting(span)} ago" if span > timedelta(0) else f"in {lasting(-span)}"


def lasting(span: timedelta) -> str:
    """A span in its largest two units: '2 d 3 h', '5 min', '12 s'."""
    seconds = int(span.total_seconds())
    units = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((index for index, (n, _) in enumerate(units) if n), 3)
    # Seconds beside hours would be noise.
    parts = [f"{n} {unit}" for n, unit in units[first : first + 2] if n] or ["0 s"]
    return " ".join(parts)


def money(amount: Decimal | None, currency: str) -> str:
    """'1,212.50 USD'; '' for none."""
    if amount is None:
        return ""
    exact = f"{amount.normalize():,f}"
    whole, _, cents = exact.partition(".")
    return f"{whole}.{cents.ljust(2, '0')} {currency}".strip()


def phone(number: str, *, is_revealed: bool = False) -> str:
    return plain(number if is_revealed else mask_phone(number))


def counted(n: int, noun: str, plural: str = "") -> str:
    """'1 request', '2 requests', '1,000 replies'."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def without_phones(text: str, known: Iterable[str] = ()) -> str:
    """`text` with the known numbers masked in whatever spelling, and every number that is written as one: behind a plus, or
    as the value of a field that holds numbers. Other digits are ids, times and amounts, and stay."""
    # A spelling may lack the country code, of at most three digits.
    ends = {digits[3:] for number in known if len(digits := re.sub(r"\D", "", number)) >= 10}
    lengths = {len(end) for end in ends}

    def masked(found: re.Match[str]) -> str:
        number, digits = found["number"], re.sub(r"%[0-9a-f]{2}|\D", "", found["number"], flags=re.IGNORECASE)
        is_known = any(digits[i : i + n] in ends for n in lengths for i in range(len(digits) - n + 1))
        is_written_as_one = found["named"] and len(digits) >= 8 and not _DATE.match(number)
        return f"{found['named'] or ''}{_dotted(number)}" if is_known or is_written_as_one else found.group()

    return _NUMBER.sub(masked, text)


def _dotted(number: str) -> str:
    """Its first three digits and its last two."""
    places = [found.start() for found in re.finditer(r"%[0-9A-Fa-f]{2}|\d", number) if number[found.start()] != "%"]
    hidden = set(places[3:-2])
    return "".join("•" if place in hidden else letter for place, letter in enumerate(number))


# One colour a word, on every page.
_TONES = {
    "good": "delivered read done accepted recorded upsell approved subscribed active configured counted person opt_in",
    "bad": "failed undelivered rejected canceled refused bad_secret bad_signature ip_not_allowed plain_http unreadable opted_out"
    " opt_out bad_payout wrong_account expired_click literal_macro missing_click_id malformed_click_id too_long"
    " dropped ambiguous_parameters unknown_account unproven suspended deleted reversed",
    "wait": "waiting queued sending sent expired pending held unknown unknown_click status_unmapped negative_payout unset paused"
    " duplicate_differs silent over_quota working by_hand warning",
    "note": "updated adjusted duplicate test probe discarded bot help removed",
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words.split()}


def tone_of(word: str) -> str:
    """The colour of a state's code; 'plain' for one we do not know."""
    return _TONE_OF.get(word, "plain")
