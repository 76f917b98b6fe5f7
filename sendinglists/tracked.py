"""Owns track(): the addresses in a text become short links of ours, each of which leads where the text said."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from sendinglists.destinations import validate_click_parameter, validate_destination
from sendinglists.domains import base_url, known_base_urls
from sendinglists.models import Link
from trackly.signing import new_code

LONGEST = 2_000
# {{link}} within an address is part of the address, which is then refused with the reason.
_TOKEN = re.compile(r"\{\{\s*link\s*\}\}|https?://[^\s<>\"]+", re.IGNORECASE)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_NOT_AT_THE_END = ".,;:!?'"


class CannotTrack(Exception):
    """An address or an offer that no short link can lead to; the text says what to change."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


@dataclass(slots=True, kw_only=True)
class Tracked:
    """A text, and the links that were put into it."""

    base: str
    """What short links begin with."""
    body: str = ""
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Code -> where it leads, as fields of a Link."""
    _codes: dict[str, str] = field(default_factory=dict)

    def short(self, key: str, **where: Any) -> str:
        """The short link to there; the same one for the same place."""
        if key not in self._codes:
            code = new_code(7)
            self._codes[key] = f"{self.base}/c/{code}"
            self.links[code] = where
        return self._codes[key]


def track(body: str, *, account_id: int, offer_id: int | None, wraps: bool, brand: str = "") -> Tracked:
    """The text with {{link}} and, where it `wraps`, every http(s) address replaced by a short link under the brand's host.
    Raises CannotTrack."""
    tokens = _TOKEN.findall(body)
    _check_offer(any(token[0] == "{" for token in tokens), account_id, offer_id)
    tracked = Tracked(base=base_url(account_id, brand) if tokens else "")
    own = tuple(f"{base}/c/" for base in known_base_urls(account_id)) if wraps and tokens else ()

    def replace(match: re.Match[str]) -> str:
        if match[0][0] == "{":
            return tracked.short("{{link}}", offer_id=offer_id)
        url = _without_punctuation(match[0])
        is_address = url.partition("://")[2] != ""
        if not (wraps and is_address) or url.startswith(own):
            return match[0]
        _check_address(url)
        return tracked.short(url, destination=url) + match[0][len(url) :]

    tracked.body = _TOKEN.sub(replace, body)
    if tracked.links and not settings.PUBLIC_BASE_URL:
        said = "Short links need the address of this service: set PUBLIC_BASE_URL, or send without tracked links."
        raise CannotTrack("no_public_address", said)
    return tracked


def _check_offer(names_offer: bool, account_id: int, offer_id: int | None) -> None:
    if offer_id is None and not names_offer:
        return
    if offer_id is None:
        raise CannotTrack("missing_offer", "The text says {{link}} but names no offer; name the one it leads to.")
    if not names_offer:
        said = "An offer is named but the text has no {{link}} where its address belongs."
        raise CannotTrack("missing_link_placeholder", said)
    # Offers are kept by a part of the service that this one may not import; the foreign key knows their table.
    offers = Link._meta.get_field("offer").related_model._default_manager
    if not offers.filter(pk=offer_id, account_id=account_id).exists():
        raise CannotTrack("unknown_offer", f"There is no offer {offer_id} in this account.")


def _without_punctuation(url: str) -> str:
    """The address as far as a reader takes it: a sentence's own signs after it are not its."""
    end = next((index for index, sign in enumerate(url) if _is_foreign_sign(sign)), len(url))
    while end and _ends_a_sentence(url[:end]):
        end -= 1
    return url[:end]


def _is_foreign_sign(sign: str) -> bool:
    """A quotation mark, a full stop of another script, an emoji: never part of an address. Foreign letters may be meant so."""
    return sign > "\x7f" and unicodedata.category(sign)[0] in "PSZC"


def _ends_a_sentence(url: str) -> bool:
    last = url[-1]
    return last in _NOT_AT_THE_END or last in _PAIRS and url.count(last) > url.count(_PAIRS[last])


def _check_address(url: str) -> None:
    try:
        validate_destination(url)
        validate_click_parameter(url, ())
    except ValidationError as error:
        raise CannotTrack("invalid_link", f"{url[:100]}: {' '.join(error.messages)}") from error
    if len(url) > LONGEST:
        raise CannotTrack("invalid_link", f"{url[:100]}…: an address has at most {LONGEST:,} characters.")
