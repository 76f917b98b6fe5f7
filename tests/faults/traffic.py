"""Owns the load of the fault tests: rows in the inbox as receiving leaves them, and an account of them kept by other means."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Sum

from postbacks.models import Click, Conversion
from sendinglists.models import Message, ProviderAccount
from tests import factories
from trackly.models import HourlyTotal
from webhooks.inbound.models import DeliveryEvent, InboundRequest, Proof, State

STATUSES = ("sent", "delivered", "read")
SENT_AT = datetime(2026, 1, 1, tzinfo=UTC)


def messages(n: int) -> list[Message]:
    """Messages of one list."""
    sending_list = factories.SendingListFactory()
    return Message.objects.bulk_create(factories.MessageFactory.build_batch(n, **_owners(sending_list)))


def _owners(sending_list: Any) -> dict[str, Any]:
    party = sending_list.provider_account
    return {"sending_list": sending_list, "provider_account": party, "account": party.account}


def report(key: str, status: str = "delivered", at: datetime = SENT_AT) -> dict[str, str]:
    return {"type": "report", "message": key, "status": status, "at": at.isoformat()}


def body(*events: dict[str, str]) -> bytes:
    return json.dumps({"events": events}).encode()


def requests(party: ProviderAccount, bodies: list[bytes], **fields: Any) -> list[InboundRequest]:
    """One acknowledged callback for each body."""
    rows = [
        factories.InboundRequestFactory.build(
            body=text,
            items=text.count(b'"type"'),
            party_id=party.id,
            account=party.account,
            proof=Proof.TOKEN,
            **fields,
        )
        for text in bodies
    ]
    return InboundRequest.objects.bulk_create(rows, batch_size=1_000)


def reports(n: int, known: list[Message]) -> int:
    """`n` callbacks of one or two reports about these messages, many of them repeated; how many different reports."""
    distinct, bodies = set(), []
    for index in range(n):
        message = known[index * 7 % len(known)]
        said = [(message.reference, STATUSES[index % 3])]
        if index % 5 == 0:
            said.append((known[index * 3 % len(known)].reference, "sent"))
        distinct |= set(said)
        bodies.append(body(*(report(*pair) for pair in said)))
    requests(known[0].provider_account, bodies)
    return len(distinct)


def postbacks(n: int, clicks: list[Click]) -> None:
    """`n` postbacks of 10.00 over these clicks, by their connection's token, so that most repeat an earlier one."""
    contract = clicks[0].offer.connection
    rows = [
        factories.InboundRequestFactory.build(
            source="postback", slug=contract.network, method="GET", body=b"", party_id=contract.id,
            account=contract.account, proof=Proof.TOKEN, path=f"/api/postbacks/{contract.network}/~{contract.id}".encode(),
            query=f"click_id={clicks[index % len(clicks)].click_id}&payout=10.00&transaction_id=t1".encode(),
        )
        for index in range(n)
    ]  # fmt: skip
    InboundRequest.objects.bulk_create(rows, batch_size=1_000)


def clicks(n: int) -> list[Click]:
    """Clicks on one link."""
    link = factories.LinkFactory()
    fields = {"link": link, "account": link.account, "offer": link.offer, "is_tallied": True}
    return Click.objects.bulk_create(factories.ClickFactory.build_batch(n, **fields))


def waiting() -> int:
    return InboundRequest.objects.filter(state=State.WAITING).count()


def make_all_due() -> None:
    """Rows on the retry schedule come now and not in a minute."""
    InboundRequest.objects.filter(state=State.WAITING).update(due_at=datetime.now(UTC) - timedelta(seconds=1))


def total(kind: str) -> int:
    """What the hourly totals say of a kind."""
    return HourlyTotal.objects.filter(kind=kind).aggregate(n=Sum("n"))["n"] or 0


def check_reports(distinct: int) -> None:
    """Every acknowledged report was entered once, and the totals and states agree with a count of the bodies."""
    said = InboundRequest.objects.filter(source="webhook").aggregate(n=Sum("items"))["n"]
    assert waiting() == 0
    assert InboundRequest.objects.exclude(state=State.DONE).count() == 0
    assert DeliveryEvent.objects.count() == distinct
    assert (total("report"), total("report_duplicate")) == (distinct, said - distinct)
    assert _wrong_states() == []
    for status in STATUSES:
        assert total(f"message_{status}") == Message.objects.filter(status=status).count()


def _wrong_states() -> list[Any]:
    """Messages whose state is not the furthest of their events."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT message.id FROM sendinglists_message message
            JOIN (SELECT message_id, max(array_position(%s::text[], status::text)) AS place
                  FROM webhooks_deliveryevent GROUP BY message_id) heard ON heard.message_id = message.id
            WHERE message.status <> (%s::text[])[heard.place]
            """,
            [list(STATUSES), list(STATUSES)],
        )
        return cursor.fetchall()


def check_postbacks(hits: int, clicks: int) -> None:
    """One conversion a click, every other hit its duplicate, and the totals say so."""
    assert Conversion.objects.count() == hits
    assert Conversion.objects.filter(kind="conversion").count() == clicks
    assert Conversion.objects.filter(verdict="duplicate").count() == hits - clicks
    assert (total("conversion"), total("postback_duplicate")) == (clicks, hits - clicks)
    revenue = HourlyTotal.objects.filter(kind="conversion").aggregate(sum=Sum("amount"))["sum"]
    assert revenue == 10 * clicks
