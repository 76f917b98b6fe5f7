"""Owns Terms: what a text somebody pasted may be. Pure: the tables are asked with it elsewhere.

A text is an id, a phone, or something that holds some: a URL, a curl line, JSON, a line of a log. Guesses cost little, because
every one of them is looked up exactly; what cannot be an id is left out, so that a page of text does not ask a thousand times.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote
from uuid import UUID

from postbacks import answering as postbacks_answering
from postbacks import networks
from postbacks.networks.base import Network
from trackly.payloads import BadPayload
from trackly.phones import e164
from trackly.raw import RawRequest
from trackly.text import clean
from webhooks import providers
from webhooks.inbound import answering
from webhooks.inbound.models import Source, time_of
from webhooks.inbound.receiving import ids_of
from webhooks.inbound.routes import read_route
from webhooks.providers.base import Provider

MOST = 20
MAX_TEXT = 10_000
# The longest id a table holds.
MAX_WORD = 255

PREFIXES = {answering.PREFIX: Source.WEBHOOK, postbacks_answering.PREFIX: Source.POSTBACK}

# Copied along with a text and never seen: direction marks, joiners of nothing, controls.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_QUOTES = " \t\r\n\"'`\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb<>,;"
_DASHES = re.compile("[\u2010-\u2015\u2212\uff0d]")
_CALLED = re.compile(r"(?<!/)/+api/+(webhook-feedbacks|postbacks)/+([^\s\"'`<>\\|]+)", re.IGNORECASE)
_SHORT = re.compile(r"/c/([^/\s?#\"'<>&]{1,64})")
_BODY = re.compile(
    r"\s(?:-d|--data(?:-raw|-binary|-urlencode|-ascii)?)[ =]+(?:'([^']*)'|\"((?:[^\"\\]|\\.)*)\")", re.DOTALL
)
_ENCODED = re.compile(r"%2f(?:api|c)%2f", re.IGNORECASE)
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
_PHONE = re.compile(r"(?:(?:tel|sms):)?\+?[\d(][\d ().\-/\t]{4,28}")
_PLUS_PHONE = re.compile(r"(?:\+|%2[bB])(\d[\d ().\-]{6,20}\d)")
_WORD = re.compile(r"[A-Za-z0-9_-]{5,200}")
_NAMES = re.compile(r"\"[^\"\n]{1,60}\"\s*:|(?<![A-Za-z0-9_])[A-Za-z_][A-Za-z_-]{0,40}=")
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*")
_TOKEN = re.compile(r"[A-Za-z0-9_-]*[A-Za-z][A-Za-z0-9_-]*")
_STRUCTURED = re.compile(r"[\s{}\[\]\"'=&,;<>]|://")
_OPENED = re.compile(r"~(\d{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A URL of ours that a provider or network calls."""

    source: str
    slug: str
    name: str
    """The vendor's; '' when no adapter has this slug."""
    token: str = ""
    """Still percent-encoded, as it is looked up."""
    party_id: int | None = None
    """Where our own log wrote ~id in place of the token."""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What to look up. Every part may be empty; none has more than MOST."""

    text: str = ""
    words: tuple[str, ...] = ()
    """Exact ids as they were written."""
    phones: tuple[str, ...] = ()
    uids: tuple[UUID, ...] = ()
    """Of requests: UUIDs that carry a time."""
    codes: tuple[str, ...] = ()
    """Of short links, where a URL says that it is one."""
    calls: tuple[Called, ...] = ()
    is_blob: bool = False
    """A text with ids in it, and none itself."""

    @property
    def ids(self) -> list[str]:
        """As the inbox names things: click ids in lower case, phones in E.164."""
        names = (*self.words, *(word.lower() for word in self.words), *self.phones)
        return list(dict.fromkeys(name[:200] for name in names))

    @property
    def tokens(self) -> list[str]:
        """Words that may be a token, a click id or a public id: nothing random is all digits, or as short as a word."""
        found = [word for word in self.words if 20 <= len(word) <= 64 and _TOKEN.fullmatch(word)]
        return list(dict.fromkeys([*found, *(call.token for call in self.calls if call.token)]))

    @property
    def link_codes(self) -> list[str]:
        words = (word for word in self.words if len(word) <= 32 and not (word.isdigit() and len(word) >= 10))
        return list(dict.fromkeys([*self.codes, *words]))


def read(text: str) -> Terms:
    """What the text may be; never raises."""
    cut = _cleaned(text)
    if not cut:
        return Terms()
    if phones := phones_of(cut):
        # Digits alone may be an id as well.
        return Terms(text=cut, phones=phones, words=(cut,) if cut.isdigit() else ())
    plain = unquote(cut) if _ENCODED.search(cut) else cut
    calls, ids = _calls(plain)
    uncalled = _CALLED.sub(" ", plain)
    codes = _SHORT.findall(uncalled)
    is_blob = bool(calls or codes or _STRUCTURED.search(plain))
    if not calls and not codes and len(cut) <= MAX_WORD:
        # Also a text with spaces may be an id: people write theirs by hand.
        ids = [cut, *ids]
    rest = unquote(_SHORT.sub(" ", uncalled)) if is_blob else ""
    ids += _words(rest)
    return Terms(
        text=cut,
        words=_first(clean(value, MAX_WORD) for value in ids if not value.startswith("+")),
        phones=_numbers((*_PLUS_PHONE.findall(rest), *ids)),
        uids=tuple(uid for found in dict.fromkeys(_UUID.findall(plain)) if (uid := UUID(found)) and _has_time(uid))[
            :MOST
        ],
        codes=_first(codes),
        calls=calls,
        is_blob=is_blob,
    )


def _cleaned(text: str) -> str:
    """Without what is copied along: marks nobody sees, quotes around it, dashes and spaces of the typographers."""
    seen = _DASHES.sub("-", _UNSEEN.sub("", text[:MAX_TEXT]))
    return seen.replace("\xa0", " ").replace("\u202f", " ").strip(_QUOTES)


def _numbers(texts: Iterable[str]) -> tuple[str, ...]:
    """Phones among these, which vendors write without the plus."""
    return _first(number for text in texts for number in phones_of(f"+{text.lstrip('+')}"))


def phones_of(text: str) -> tuple[str, ...]:
    """E.164 numbers this may be, the likeliest first; none when it is no phone with its country code.

    Ten bare digits are read as a North American number too, which is how people there write one.
    """
    if not _PHONE.fullmatch(text):
        return ()
    spelled = text.removeprefix("tel:").removeprefix("sms:").strip()
    is_whole = spelled.startswith(("+", "00"))
    digits = re.sub(r"\D", "", spelled.replace("(0)", "") if is_whole else spelled)
    if not 7 <= len(digits) <= 17:
        return ()
    spellings = [digits]
    if not is_whole and len(digits) == 10 and digits[0] not in "01":
        spellings = [f"1{digits}", digits]
    return _first(number for spelling in spellings if (number := e164(spelling)).startswith("+"))


def _calls(text: str) -> tuple[tuple[Called, ...], list[str]]:
    """The URLs of ours in a text, and the ids their queries (or a curl line's body) carry, as the adapters read them."""
    calls, ids = [], []
    for kind, rest in _CALLED.findall(text)[:5]:
        prefix = f"/api/{kind.lower()}/"
        path, _, query = rest.partition("#")[0].partition("?")
        request = _request(prefix + path, query.rstrip(").,"), text)
        route = read_route(request, prefix)
        if route is None:
            continue
        adapter = providers.get(route.slug) if PREFIXES[prefix] == Source.WEBHOOK else networks.get(route.slug)
        opened = _OPENED.fullmatch(route.token)
        calls.append(
            Called(
                source=PREFIXES[prefix],
                slug=route.slug[:30],
                name=adapter.name if adapter else "",
                token="" if route.token.startswith("~") else route.token[:200],
                party_id=int(opened[1]) if opened else None,
                account=route.account,
            )
        )
        ids += _said(request, adapter) or _words(unquote(query))
    return tuple(dict.fromkeys(calls)), ids


def _request(path: str, query: str, text: str) -> RawRequest:
    found = _BODY.search(text)
    body = (found[1] or found[2] or "") if found else ""
    return RawRequest(
        method="POST" if body else "GET",
        path=path.rstrip(").,"),
        query=query,
        headers=(("content-type", "application/json" if body[:1] in "{[" else "application/x-www-form-urlencoded"),),
        body=body.encode(),
        base_url="",
        peer="",
        secure=True,
        received_at=datetime.now(UTC),
    )


def _said(request: RawRequest, adapter: Provider | Network | None) -> list[str]:
    """Ids in a request; none when it cannot be read, and that is all right: it is a question, not a report."""
    if adapter is None:
        return []
    try:
        if isinstance(adapter, Provider):
            return [value for value in ids_of(adapter.parse(request)) if value]
        return [value for item in adapter.parse(request) for value in (item.click_id, item.transaction_id) if value]
    except BadPayload:
        return []


def _words(text: str) -> list[str]:
    """What looks like an id in a text; names of fields, dates and ordinary words do not."""
    found = _WORD.findall(_NAMES.sub(" ", text))
    return list(dict.fromkeys(word for word in found if _looks_like_id(word)))[:MOST]


def _looks_like_id(word: str) -> bool:
    if any(letter.isdigit() for letter in word):
        return not _DATE.fullmatch(word)
    # The rare ones without a digit: a message's eight letters of both cases, and our tokens.
    return bool(len(word) in (7, 8) and re.search("[a-z][A-Z]", word)) or bool(re.fullmatch("[a-z]{26}", word))


def _has_time(uid: UUID) -> bool:
    try:
        return uid.version == 7 and time_of(uid).year < 2100
    except (ValueError, OverflowError, OSError):
        return False


def _first(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))[:MOST]
