"""Postbacks as the world sends them: over HTTP, to a token's URL or a bare one; and what became of them."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from postbacks import directory
from postbacks.models import Click, Conversion, NetworkConnection, Offer
from tests.factories import ClickFactory, LinkFactory, NetworkConnectionFactory, OfferFactory
from trackly.models import Account, HourlyTotal
from webhooks.inbound.models import InboundRequest


@dataclass(kw_only=True)
class World:
    """One account with a connection, an offer and a click; hit() sends, work() works off."""

    client: Client
    work: Callable[[], int]
    connection: NetworkConnection
    offer: Offer
    click: Click

    @property
    def account(self) -> Account:
        return self.connection.account

    def url(self, *, bare: bool = False, token: str = "", network: str = "", account: str = "") -> str:
        path = f"/api/postbacks/{network or self.connection.network}"
        path = path if bare or account else f"{path}/{token or self.connection.postback_token}"
        return f"{path}?account={account}&" if account else f"{path}?"

    def hit(self, query: str = "", *, to: dict[str, Any] | None = None, **parameters: Any) -> InboundRequest:
        """Send one postback of the click (unless `click_id` says another); the stored request."""
        parameters = {"click_id": self.click.click_id, **parameters}
        known = set(InboundRequest.objects.values_list("uid", flat=True))
        answer = self.client.get(self.url(**(to or {})) + (query or urlencode(parameters)))
        assert answer.status_code == 200, answer.content
        return InboundRequest.objects.exclude(uid__in=known).get()

    def say(self, query: str = "", *, ago: timedelta | None = None, **rest: Any) -> Conversion:
        """Send one postback, some time ago, and work it off; what it was judged to be."""
        return self.judged(self.sent(query, ago=ago, **rest))

    def sent(self, query: str = "", *, ago: timedelta | None = None, **rest: Any) -> InboundRequest:
        request = self.hit(query, **rest)
        if ago:
            # Receive time is part of the row's identity; what is judged reads the column.
            moved = request.received_at - ago
            InboundRequest.objects.filter(uid=request.uid).update(received_at=moved, due_at=moved)
            request.received_at = moved
        return request

    def judged(self, request: InboundRequest) -> Conversion:
        self.work()
        return Conversion.objects.get(request_uid=request.uid)

    def rule(self, **fields: Any) -> None:
        """Change the connection, as its owner does."""
        NetworkConnection.objects.filter(id=self.connection.id).update(**fields)
        self.connection.refresh_from_db()
        directory.forget()

    def counted(self, *, verified: bool = True) -> list[tuple[str, str]]:
        """(status, amount) of what counts as verified, in the order it came."""
        rows = Conversion.objects.exclude(kind="").filter(account=self.account).order_by("received_at", "id")
        return [(row.status, plain(row.payout)) for row in rows if (row.is_verified or row.is_accepted) == verified]

    def totals(self) -> dict[str, tuple[int, str]]:
        """kind -> (n, amount) of the conversions in the hourly totals, where they are not nothing."""
        sums: dict[str, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
        for row in HourlyTotal.objects.filter(account=self.account, kind__startswith="conversion"):
            n, amount = sums[row.kind]
            sums[row.kind] = (n + row.n, amount + row.amount)
        return {kind: (n, plain(amount)) for kind, (n, amount) in sums.items() if (n, amount) != (0, 0)}


def plain(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount.normalize():f}"


def expected_totals() -> dict[tuple[Any, ...], tuple[int, Decimal]]:
    """What HourlyTotal must hold for postbacks, told from the Conversion rows alone, without the code that writes it."""
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for row in Conversion.objects.select_related("original"):
        if row.account_id is None or row.is_test:
            continue
        hour = row.received_at.replace(minute=0, second=0, microsecond=0)
        sums[row.account_id, hour, f"postback_{row.verdict}", 0, row.connection_id or 0, ""][0] += 1
        if not row.kind:
            continue
        stands = row.original if row.kind == "adjustment" else row
        kind = {"pending": "conversion_pending", "rejected": "conversion_rejected"}.get(stands.status, "conversion")
        if not stands.is_verified and not stands.is_accepted:
            kind += "_unverified"
        key = (row.account_id, hour, kind, row.sending_list_id or 0, row.connection_id or 0, row.currency)
        sums[key][0] += row.kind != "adjustment" and stands.status != "reversed"
        sums[key][1] += row.payout
    return {key: (n, amount) for key, (n, amount) in sums.items() if (n, amount) != (0, 0)}


def actual_totals() -> dict[tuple[Any, ...], tuple[int, Decimal]]:
    """What HourlyTotal holds for postbacks."""
    rows = HourlyTotal.objects.filter(kind__regex="^(postback|conversion)")
    return {
        (row.account_id, row.hour, row.kind, row.list_id, row.connection_id, row.currency): (row.n, row.amount)
        for row in rows
        if (row.n, row.amount) != (0, 0)
    }


@pytest.fixture
def world(db: None, client: Client, work_off: Callable[[], int]) -> World:
    connection = NetworkConnectionFactory()
    offer = OfferFactory(connection=connection)
    return World(
        client=client,
        work=work_off,
        connection=connection,
        offer=offer,
        click=ClickFactory(link=LinkFactory(offer=offer)),
    )


@pytest.fixture
def elsewhere(world: World) -> World:
    """A second account, with everything the first one has."""
    connection = NetworkConnectionFactory()
    offer = OfferFactory(connection=connection)
    return World(
        client=world.client,
        work=world.work,
        connection=connection,
        offer=offer,
        click=ClickFactory(link=LinkFactory(offer=offer)),
    )
