"""Owns what a page tells of a connection's URLs: the tracking links of its offers, the postback URL as it was put together, and
the words for the network's manager."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.http import QueryDict
from django.utils import timezone

from postbacks import building, networks
from postbacks.building import Part
from postbacks.linting import Expected, Whose
from postbacks.models import NetworkConnection, Offer
from postbacks.networks.base import Network
from sendinglists.destinations import destination
from trackly.payloads import BadPayload, read_pairs
from trackly.signing import token_hash
from trackly.stories.provider_accounts import masked

CLICK_ID = "{click_id}"
# So many offers are told; the list of offers has all.
MOST_OFFERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """The tracking link of one offer."""

    offer: Offer
    url: str
    """As it goes out, with {click_id} where each click's own stands."""
    under: tuple[str, ...]
    """The parameters that carry it; none: it stands in the path, or nowhere."""
    is_added: bool
    """It is added when a link is opened: the destination does not name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A postback URL, and what it was built from."""

    url: str
    parts: Sequence[tuple[Part, bool]]
    """(what may stand in it, whether it does)."""
    payouts: Sequence[tuple[str, bool]]
    """(macro, whether it is the one): the recommended first."""
    lacking: Sequence[str]
    """What this network has no macro for, in words."""


def trackings(row: NetworkConnection, offers: Sequence[Offer]) -> list[Tracking]:
    return [_tracking(row, offer) for offer in offers]


def _tracking(row: NetworkConnection, offer: Offer) -> Tracking:
    named = carriers(offer.destination)
    is_added = CLICK_ID not in offer.destination.replace("{{", "{").replace("}}", "}").replace(" ", "")
    # A click id that needs no encoding stands where the real one will.
    sample = "0click0id0"
    url = destination(offer.destination, sample, row.click_parameters).replace(sample, CLICK_ID)
    return Tracking(offer=offer, url=url, under=row.click_parameters[:1] if is_added else named, is_added=is_added)


def carriers(template: str) -> tuple[str, ...]:
    """The parameters of an address that are our click id."""
    try:
        pairs = read_pairs(template.partition("#")[0].partition("?")[2])
    except BadPayload:
        return ()
    return tuple(name for name, value in pairs if value.replace(" ", "") in (CLICK_ID, "{{click_id}}"))


def built(row: NetworkConnection, adapter: Network, asked: QueryDict, *, is_masked: bool) -> Built:
    """The URL as its parts were ticked; the recommended ones until somebody ticked."""
    parts = building.optional_parts(adapter)
    wanted = set(asked.getlist("with"))
    ticked = [(part, part.field in wanted if "chosen" in asked else part.is_recommended) for part in parts]
    macros = (adapter.payout_macro, *adapter.other_macros.get("payout", ()))
    payout = asked.get("payout", "") if asked.get("payout") in macros else macros[0]
    query = building.query(
        adapter,
        click_parameter=row.click_parameters[0],
        chosen=[part.field for part, is_in in ticked if is_in],
        payout_macro=payout,
    )
    token = masked(row.postback_token) if is_masked else row.postback_token
    had = {part.field for part in parts}
    return Built(
        url=building.postback_url(settings.PUBLIC_BASE_URL, adapter, token, query),
        parts=ticked,
        payouts=[(macro, macro == payout) for macro in macros],
        lacking=[label.lower() for name, (label, _) in building.OPTIONAL.items() if name not in had],
    )


def letter(row: NetworkConnection, adapter: Network, url: str, test_url: str) -> str:
    """What to write to the network's manager."""
    macro = building.click_macro(adapter, row.click_parameters[0])
    lines = [
        "Hello,",
        f"please set this postback URL (server to server, GET) for our account at {row.name}, for all offers:",
        url,
        "Please check:",
        "- It is pasted as plain text, in one line, with the braces as they are.",
        f"- Our tracking links carry our click id as {row.click_parameters[0]}; {macro} must give it back unchanged.",
        f"- {adapter.payout_macro} must be what we are paid.",
        "- It fires for every conversion, and for later events as well.",
        "We answer every postback with one sentence that says what was read, or what is wrong with it.",
    ]
    if test_url:
        lines += ["To test it, open this link and fire a conversion for the click:", test_url]
    return "\n".join([*lines, "Thank you"])


def expected(row: NetworkConnection, adapter: Network, tracked: Sequence[Tracking]) -> Expected:
    """What the linter holds a pasted URL against."""
    return Expected(
        base_url=settings.PUBLIC_BASE_URL,
        network=adapter,
        others=tuple(other for slug, other in networks.all_networks().items() if slug != row.network),
        token=row.postback_token,
        whose=partial(_whose, row),
        click_parameter=row.click_parameters[0],
        carried=frozenset({row.click_parameters[0], *(name for item in tracked for name in item.under)}),
    )


def _whose(row: NetworkConnection, token: str) -> Whose:
    """Other accounts' tokens are as unknown as none."""
    hashed, now = token_hash(token), timezone.now()
    if hashed == bytes(row.postback_token_hash):
        return Whose.CURRENT
    is_kept = row.previous_token_until is not None and row.previous_token_until > now
    if is_kept and row.previous_token_hash is not None and hashed == bytes(row.previous_token_hash):
        return Whose.FORMER
    others = NetworkConnection.objects.filter(account_id=row.account_id).exclude(pk=row.pk)
    return Whose.OTHER if others.filter(postback_token_hash=hashed).exists() else Whose.UNKNOWN
