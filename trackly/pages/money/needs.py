"""Owns the sentences about postbacks that count only once somebody does something: how many, and the money at stake."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, F, Q, Sum, Value
from django.db.models.functions import Coalesce, NullIf

from postbacks.models import Conversion
from postbacks.verdicts import Verdict
from trackly.pages.listing import NEWEST, newest
from trackly.pages.money.asked import NEEDING, needing
from trackly.pages.visits import Visit
from trackly.showing import counted, money

# After "17 postbacks worth 412.00 USD".
_SAYS = {
    Verdict.HELD: "came without the token and {wait} for you to accept or reject",
    Verdict.BAD_SECRET: "came with a wrong postback token",
    Verdict.IP_NOT_ALLOWED: "came from an address that is not on the connection's list",
    Verdict.PLAIN_HTTP: "came over plain http",
    Verdict.STATUS_UNMAPPED: "{have} a status word that you have not explained",
    Verdict.UNKNOWN_CLICK: "{name} a click that is not known",
    Verdict.LITERAL_MACRO: "came with a macro that the network did not replace",
    Verdict.MISSING_CLICK_ID: "came without a click id",
    Verdict.MALFORMED_CLICK_ID: "{name} something else in place of a click id",
    Verdict.TOO_LONG: "{name} something too long to be a click id",
    Verdict.AMBIGUOUS_PARAMETERS: "{contradict} themselves",
    Verdict.BAD_PAYOUT: "{have} a payout that cannot be taken",
    Verdict.NEGATIVE_PAYOUT: "{take} money back from a sale that is not known",
    Verdict.UNREADABLE: "cannot be read",
}
_ONE = {"wait": "waits", "have": "has", "name": "names", "take": "takes", "contradict": "contradicts"}
_MANY = {word: word for word in _ONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing to be done about some postbacks."""

    verdict: Verdict
    n: int
    at_stake: tuple[tuple[str, Decimal], ...]
    """(currency, amount)."""

    @property
    def sentence(self) -> str:
        says = _SAYS[self.verdict].format(**(_ONE if self.n == 1 else _MANY))
        worth = told(self.at_stake)
        words = (
            f"{counted(self.n, 'postback')} worth {worth} {says}."
            if worth
            else f"{counted(self.n, 'postback')} {says}."
        )
        return words.replace("contradicts themselves", "contradicts itself")


def told(at_stake: tuple[tuple[str, Decimal], ...]) -> str:
    """'412.00 USD, 24.00 GBP and 3.00 EUR': each currency for itself."""
    *first, last = [money(amount, currency) for currency, amount in at_stake] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def needs(visit: Visit) -> list[Need]:
    """Among the account's newest postbacks, in the order in which they are worth looking at."""
    return sums(visit, needing(visit.now))


def sums(visit: Visit, met: Q) -> list[Need]:
    rows = newest(visit.rows(Conversion), NEWEST).filter(met)
    # What was ruled out before its money was looked at names the currency only if the network did.
    own = Coalesce(
        NullIf("currency", Value("")), NullIf("connection__currency", Value("")), Value(visit.account.currency)
    )
    groups = rows.values("verdict", own=own).annotate(
        n=Count("pk"), amount=Sum(Coalesce(F("payout"), Value(Decimal(0))))
    )
    n: dict[str, int] = defaultdict(int)
    amounts: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for group in groups.order_by("own"):
        n[group["verdict"]] += group["n"]
        if group["amount"]:
            amounts[group["verdict"]][group["own"]] = group["amount"]
    return [
        Need(verdict=verdict, n=n[verdict], at_stake=tuple(amounts[verdict].items()))
        for verdict in NEEDING
        if n[verdict]
    ]
