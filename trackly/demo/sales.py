"""Owns what affiliate networks report in the demo: stories of postbacks about one click, the verdict of each, and the money."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlencode

from postbacks import networks
from postbacks.answering import PREFIX
from postbacks.models import NetworkConnection, Offer
from postbacks.networks.base import Network
from postbacks.verdicts import ConversionStatus, Verdict
from trackly.demo.book import HITS, Book, kept, revenue, revenue_kind, verdict
from trackly.demo.sending import Call
from trackly.signing import new_token
from webhooks.inbound.models import Cause, Source, State

PRICES = tuple(Decimal(text) for text in ("12.50", "24.00", "38.75", "59.90", "99.00"))
# Doors of the service: the URL with the connection's token, the bare one, one with a token of nobody.
TOKEN, BARE, WRONG = "token", "bare", "wrong"
# Stands for the click id, which is known only when the link was opened.
_CLICK = "(the click)"
_V, _S = Verdict, ConversionStatus


@dataclass(frozen=True, slots=True)
class Hit:
    """One postback: the fields it names, in the network's own parameters."""

    fields: dict[str, str]
    door: str
    extra: tuple[tuple[str, str], ...] = ()
    """Parameters over and above."""


@dataclass(slots=True, kw_only=True)
class Sale:
    """What comes of one click; the postbacks in their order."""

    offer: Offer
    price: Decimal
    name: str
    """Begins the transaction ids of this sale, which nobody else has."""
    book: Book
    hits: list[Hit] = field(default_factory=list)
    click_id: str = ""
    """Filled in when the link was opened; it stays empty in a sale without a click."""

    @property
    def connection(self) -> NetworkConnection:
        assert self.offer.connection is not None
        return self.offer.connection

    @property
    def network(self) -> Network:
        network = networks.get(self.connection.network)
        assert network is not None
        return network

    def hit(self, judged: Verdict, *, payout: Decimal | str | None = None, part: str = "1", click: str = _CLICK,
            status: str = "", currency: str = "", door: str = TOKEN, counts: bool = True,
            extra: tuple[tuple[str, str], ...] = ()) -> None:  # fmt: skip
        """One postback and its verdict in the end. `part` tells transactions apart; '' names none."""
        fields = {
            "click_id": click,
            "payout": str(self.price if payout is None else payout),
            "currency": currency or self.connection.currency,
            "transaction_id": f"{self.name}-{part}" if part else "",
            "status_word": status,
        }
        self.hits.append(Hit({name: value for name, value in fields.items() if value}, door, extra))
        self.book.add(verdict(judged), total=f"postback_{judged}" if counts else "")

    def earns(self, amount: Decimal, status: ConversionStatus = _S.APPROVED, *, n: int = 1, currency: str = "",
              is_trusted: bool = True) -> None:  # fmt: skip
        """The money all of it comes to."""
        currency = currency or self.connection.currency
        self.book.add(revenue(status, currency, is_trusted=is_trusted), amount)
        self.book.add_total(revenue_kind(status, is_trusted=is_trusted), n, currency, amount)

    def call(self, hit: Hit, agent: str) -> Call:
        secret = {TOKEN: f"/{self.connection.postback_token}", WRONG: f"/{new_token()}", BARE: ""}[hit.door]
        # Answered 200 all the same: some networks switch a postback off after a few errors.
        refusal = Cause.BAD_TOKEN if hit.door == WRONG else Cause.NONE
        return Call(
            kind=HITS, method="GET", status=200, target=f"{PREFIX}{self.network.slug}{secret}?{self._query(hit)}",
            headers={"User-Agent": agent}, kept=kept(Source.POSTBACK, State.DONE, refusal),
        )  # fmt: skip

    def _query(self, hit: Hit) -> str:
        """The network's recommended query with its macros replaced; those without a value are sent empty."""
        values = hit.fields | ({"click_id": self.click_id} if hit.fields.get("click_id") == _CLICK else {})
        names = [pair.partition("=")[0] for pair in self.network.template.split("&")]
        known = {alias: field for field, aliases in self.network.aliases.items() for alias in aliases}
        pairs = [(name, values.pop(known.get(name, ""), "")) for name in names]
        pairs += [(self.network.aliases[field][0], value) for field, value in values.items()]
        return urlencode([*pairs, *hit.extra])


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A kind of sale, and the offers it may be of."""

    weight: int
    tell: Callable[[Sale], None]
    suits: Callable[[Offer], bool] = lambda offer: True


def _good(sale: Sale) -> None:
    sale.hit(_V.RECORDED)
    sale.earns(sale.price)


def _repeated(sale: Sale) -> None:
    sale.hit(_V.RECORDED)
    sale.hit(_V.DUPLICATE)
    sale.hit(_V.DUPLICATE)
    sale.earns(sale.price)


def _repeated_without_transaction(sale: Sale) -> None:
    sale.hit(_V.RECORDED, part="")
    sale.hit(_V.DUPLICATE, part="")
    sale.earns(sale.price)


def _other_amount_ignored(sale: Sale) -> None:
    sale.hit(_V.RECORDED)
    sale.hit(_V.DUPLICATE_DIFFERS, payout=sale.price + 5)
    sale.earns(sale.price)


def _other_amount_added(sale: Sale) -> None:
    sale.hit(_V.RECORDED)
    sale.hit(_V.UPSELL, payout=sale.price + 5)
    sale.earns(2 * sale.price + 5, n=2)


def _second_sale(sale: Sale) -> None:
    sale.hit(_V.RECORDED)
    sale.hit(_V.RECORDED, part="2", payout=sale.price + 7)
    sale.earns(2 * sale.price + 7, n=2)


def _pending(sale: Sale) -> None:
    sale.hit(_V.RECORDED, status="pending")
    sale.earns(sale.price, _S.PENDING)


def _pending_then_approved(sale: Sale) -> None:
    sale.hit(_V.RECORDED, status="pending")
    sale.hit(_V.UPDATED, status="approved")
    sale.earns(sale.price)


def _approved_then_rejected(sale: Sale) -> None:
    sale.hit(_V.RECORDED)
    sale.hit(_V.UPDATED, status="rejected")
    sale.earns(sale.price, _S.REJECTED)


def _rejected(sale: Sale) -> None:
    sale.hit(_V.RECORDED, status="rejected")
    sale.earns(sale.price, _S.REJECTED)


def _taken_back_in_part(sale: Sale) -> None:
    sale.hit(_V.RECORDED)
    sale.hit(_V.ADJUSTED, payout=Decimal("-2.50"))
    sale.hit(_V.DUPLICATE, payout=Decimal("-2.50"))
    sale.earns(sale.price - Decimal("2.50"))


def _taken_back(sale: Sale) -> None:
    """A reversed conversion is none, and its money comes to nothing."""
    sale.hit(_V.RECORDED)
    sale.hit(_V.ADJUSTED, payout=-sale.price)
    sale.earns(Decimal(0), n=0)


def _negative_alone(sale: Sale) -> None:
    sale.hit(_V.NEGATIVE_PAYOUT, payout=-sale.price)


def _zero(sale: Sale) -> None:
    sale.hit(_V.RECORDED, payout="0.00")
    sale.earns(Decimal(0))


def _without_payout(sale: Sale) -> None:
    """The offer's default counts; without one, nothing."""
    sale.hit(_V.RECORDED, payout="")
    sale.earns(sale.offer.default_payout or Decimal(0))


def _with_comma(sale: Sale) -> None:
    sale.hit(_V.RECORDED, payout="1.234,50")
    sale.earns(Decimal("1234.50"))


def _malformed(sale: Sale) -> None:
    sale.hit(_V.BAD_PAYOUT, payout="12,345")


def _over_the_ceiling(sale: Sale) -> None:
    sale.hit(_V.BAD_PAYOUT, payout=sale.offer.account.payout_ceiling + 1)


def _other_currency(sale: Sale) -> None:
    sale.hit(_V.RECORDED, currency="GBP")
    sale.earns(sale.price, currency="GBP")


def _unmapped_word(sale: Sale) -> None:
    sale.hit(_V.STATUS_UNMAPPED, status="scrubbed")


def _test(sale: Sale) -> None:
    sale.hit(_V.TEST, counts=False, extra=(("test", "1"),))


def _contradicting(sale: Sale) -> None:
    names = sale.network.aliases["payout"]
    sale.hit(_V.AMBIGUOUS_PARAMETERS, extra=((names[0], f"{sale.price + 1}"),))


def _unverified(sale: Sale) -> None:
    sale.hit(_V.RECORDED, door=BARE)
    sale.earns(sale.price, is_trusted=False)


def _unverified_repeated(sale: Sale) -> None:
    sale.hit(_V.RECORDED, door=BARE)
    sale.hit(_V.DUPLICATE, door=BARE)
    sale.earns(sale.price, is_trusted=False)


def _unverified_then_verified(sale: Sale) -> None:
    """The second takes the place of the first, which is the duplicate in the end."""
    sale.hit(_V.DUPLICATE, door=BARE)
    sale.hit(_V.RECORDED)
    sale.earns(sale.price)


def _unverified_and_high(sale: Sale) -> None:
    assert sale.offer.ceiling is not None
    sale.hit(_V.HELD, door=BARE, payout=sale.offer.ceiling + 1)


def _unverified_and_negative(sale: Sale) -> None:
    sale.hit(_V.HELD, door=BARE, payout=-sale.price)


def _unverified_in_other_currency(sale: Sale) -> None:
    sale.hit(_V.HELD, door=BARE, currency="GBP")


def _wrong_token(sale: Sale) -> None:
    sale.hit(_V.BAD_SECRET, door=WRONG)


def _literal_macro(sale: Sale) -> None:
    sale.hit(_V.LITERAL_MACRO, click=f"{{{sale.network.click_parameters[-1]}}}")


def _unknown_click(sale: Sale) -> None:
    sale.hit(_V.UNKNOWN_CLICK, click=new_token())


def _unrouted(sale: Sale) -> None:
    """Neither a token nor a click says whose it is, so it stands in nobody's totals."""
    sale.hit(_V.UNKNOWN_CLICK, click=new_token(), door=BARE, counts=False)


def _no_click_id(sale: Sale) -> None:
    sale.hit(_V.MISSING_CLICK_ID, click="")


def _not_a_click_id(sale: Sale) -> None:
    sale.hit(_V.MALFORMED_CLICK_ID, click="click id of ours?")


def _has_default(offer: Offer) -> bool:
    return offer.default_payout is not None


def _ignores(offer: Offer) -> bool:
    return offer.connection is not None and offer.connection.duplicate_rule == NetworkConnection.DuplicateRule.IGNORE


def _adds(offer: Offer) -> bool:
    return not _ignores(offer)


# Of a click that happened. The common ones first: of a small run the rare ones at the end are left out.
STORIES = (
    Story(weight=34, tell=_good),
    Story(weight=8, tell=_repeated),
    Story(weight=4, tell=_other_amount_ignored, suits=_ignores),
    Story(weight=4, tell=_other_amount_added, suits=_adds),
    Story(weight=6, tell=_pending),
    Story(weight=5, tell=_unverified),
    Story(weight=3, tell=_taken_back_in_part),
    Story(weight=2, tell=_negative_alone),
    Story(weight=2, tell=_unverified_and_high, suits=_has_default),
    Story(weight=3, tell=_wrong_token),
    Story(weight=3, tell=_without_payout, suits=_has_default),
    Story(weight=4, tell=_pending_then_approved),
    Story(weight=2, tell=_malformed),
    Story(weight=2, tell=_taken_back),
    Story(weight=2, tell=_rejected),
    Story(weight=2, tell=_other_currency),
    Story(weight=2, tell=_unverified_then_verified),
    Story(weight=1, tell=_over_the_ceiling),
    Story(weight=2, tell=_zero),
    Story(weight=2, tell=_approved_then_rejected),
    Story(weight=2, tell=_second_sale),
    Story(weight=2, tell=_repeated_without_transaction),
    Story(weight=1, tell=_without_payout, suits=lambda offer: not _has_default(offer)),
    Story(weight=1, tell=_unverified_repeated),
    Story(weight=1, tell=_unverified_and_negative),
    Story(weight=1, tell=_unverified_in_other_currency),
    Story(weight=1, tell=_unmapped_word),
    Story(weight=1, tell=_test),
    Story(weight=1, tell=_contradicting),
    Story(weight=1, tell=_with_comma),
)
# Of no click.
STRAYS = (
    Story(weight=4, tell=_literal_macro),
    Story(weight=3, tell=_unknown_click),
    Story(weight=2, tell=_no_click_id),
    Story(weight=1, tell=_not_a_click_id),
    Story(weight=2, tell=_unrouted),
)
