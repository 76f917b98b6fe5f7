"""Owns how a postback URL is put together from what an adapter says of its network: parameters, macros, and what may be added."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from postbacks.networks.base import Network
from trackly.payloads import read_pairs

PATH = "/api/postbacks/"
# What a URL may carry besides click id and payout, in the order it is offered, and what it is good for.
OPTIONAL: Mapping[str, tuple[str, str]] = {
    "transaction_id": ("Transaction id", "tells a second sale of the same click from a repeat of the first"),
    "event": ("Event or goal", "every event of a click counts for itself"),
    "event_name": ("Name of the event", "shown beside the event, for people"),
    "offer_ref": ("Offer", "the network's own id of the offer, to compare reports by"),
    "currency": ("Currency", "without it amounts are in the currency of this connection"),
    "status_word": ("Status", "pending and rejected conversions are told apart; without it all are approved"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One parameter of a postback URL."""

    field: str
    """Of Reported."""
    name: str
    macro: str
    is_recommended: bool
    """It stands in the network's recommended URL."""

    @property
    def label(self) -> str:
        return OPTIONAL[self.field][0]

    @property
    def why(self) -> str:
        return OPTIONAL[self.field][1]


def field_of(network: Network, name: str) -> str:
    """Which field of Reported a parameter of this name is read as; '' for none."""
    asked = name.lower()
    return next((field for field, names in network.aliases.items() if asked in names), "")


def written(network: Network) -> dict[str, tuple[str, str]]:
    """Field -> (parameter, macro), as the network's recommended URL has them."""
    pairs = read_pairs(network.template) if network.template else []
    return {field: (name, macro) for name, macro in pairs if (field := field_of(network, name))}


def optional_parts(network: Network) -> list[Part]:
    """What may be chosen for this network. What it has no macro for is left out."""
    known = written(network)
    found = []
    for field in OPTIONAL:
        name, macro = known.get(field) or (network.aliases.get(field, (field,))[0], network.macros.get(field, ""))
        if macro:
            found.append(Part(field=field, name=name, macro=macro, is_recommended=field in known))
    return found


def click_macro(network: Network, parameter: str) -> str:
    """The macro that gives back what the tracking link carries under this parameter."""
    usual = network.click_parameters[0]
    return network.click_macro if parameter == usual else network.click_macro.replace(usual, parameter)


def query(network: Network, *, click_parameter: str, chosen: Collection[str], payout_macro: str = "") -> str:
    """The query of a postback URL with these optional fields."""
    known = written(network)
    click, payout = known.get("click_id", ("click_id", ""))[0], known.get("payout", ("payout", ""))[0]
    pairs = [(click, click_macro(network, click_parameter)), (payout, payout_macro or network.payout_macro)]
    pairs += [(part.name, part.macro) for part in optional_parts(network) if part.field in chosen]
    return "&".join(f"{name}={macro}" for name, macro in pairs)


def postback_url(base_url: str, network: Network, token: str, asked: str) -> str:
    """The whole URL; `base_url` '' leaves the path alone."""
    return f"{base_url}{PATH}{network.slug}/{token}?{asked}"
