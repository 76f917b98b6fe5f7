"""Measures messages sent per second by one worker to a provider on this machine, and until all of them are delivered:
the provider's reports come back through the web server and are applied by the same worker."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from django.db.models import Min

from bench import ordinary
from bench.serving import free_port, process, web
from bench.table import Line
from sendinglists.models import Message, ProviderAccount, SendingList
from trackly.models import Account
from trackly.signing import token_hash
from webhooks.inbound.models import DeliveryEvent
from webhooks.statuses import Origin

MESSAGES = 6_000
ORDINARY_MESSAGES = 200
HOST = "https://bench.api.infobip.com"
TOKEN = "sendingmeasurement"
PATIENCE_S = 180


def measure() -> list[list[Line]]:
    """Every message to another number, no two by one call; first unreported, then each reported once."""
    port, provider = free_port(), free_port()
    base, url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{provider}"
    sending_list = _list()
    with process("-m", "bench.provider", str(provider), "silent"):
        sent = _ours(sending_list, base, url, until="accepted")
        slow_sent = _ordinary(sending_list, base, url, is_reported=False)
    with process("-m", "bench.provider", str(provider)), web(port, PUBLIC_BASE_URL=base):
        delivered = _ours(sending_list, base, url, until="delivered")
        slow_delivered = _ordinary(sending_list, base, url, is_reported=True)
    note = f"{MESSAGES:,} and {ORDINARY_MESSAGES:,} messages, answered after 50 ms; provider and database on the same cores"
    until = "reports come through the web server, are committed, and applied by the same worker"
    return [
        [Line(what="messages sent a second, one worker", per_second=sent, note=note),
         Line(what="", per_second=slow_sent)],
        [Line(what="the same, until delivered", per_second=delivered, note=until),
         Line(what="", per_second=slow_delivered)],
    ]  # fmt: skip


def _list() -> SendingList:
    account = Account.objects.create(name="Sent")
    party = ProviderAccount.with_settings(
        account=account,
        provider="infobip",
        name="Sent",
        callback_token=TOKEN,
        settings={"base_url": HOST, "api_key": "k"},
    )
    party.callback_token_hash = token_hash(TOKEN)
    party.save()
    return SendingList.objects.create(
        account=account, provider_account=party, name="Sent", number="+18005550142", messages_per_minute=10_000_000
    )


def _ours(sending_list: SendingList, base: str, url: str, *, until: str) -> float:
    ids = _queue(sending_list, MESSAGES, due_at=datetime.now(UTC))
    environment = {"PUBLIC_BASE_URL": base, "OUTGOING_ROUTES": f"{HOST}={url}"}
    rows = Message.objects.filter(id__in=ids)
    with process("manage.py", "work", **environment):
        _wait_for(lambda: rows.filter(status=until).count() == MESSAGES)
        ended = datetime.now(UTC)
    if DeliveryEvent.objects.filter(message__in=ids, origin=Origin.ANSWER).count() != MESSAGES:
        raise SystemExit("Not every message was answered once; the figure means nothing.")
    return MESSAGES / (ended - rows.aggregate(at=Min("handed_at"))["at"]).total_seconds()


def _ordinary(sending_list: SendingList, base: str, url: str, *, is_reported: bool) -> float:
    ids = _queue(sending_list, ORDINARY_MESSAGES, due_at=None)
    began = time.perf_counter()
    ordinary.send(ids, url, f"{base}/ordinary/infobip/{TOKEN}")
    applied = 0
    while is_reported and applied < ORDINARY_MESSAGES:
        applied += ordinary.apply(ORDINARY_MESSAGES)
        if time.perf_counter() - began > PATIENCE_S:
            raise SystemExit("Not every message was reported; the figure means nothing.")
    return ORDINARY_MESSAGES / (time.perf_counter() - began)


def _queue(sending_list: SendingList, n: int, due_at: datetime | None) -> list[int]:
    party: ProviderAccount = sending_list.provider_account
    now = datetime.now(UTC)
    first = Message.objects.count()
    rows = [
        Message(account_id=party.account_id, provider_account=party, sending_list=sending_list, body="Autumn is here.",
                to=f"+1415{2_000_000 + first + number}", created_at=now, due_at=due_at)
        for number in range(n)
    ]  # fmt: skip
    return [row.pk for row in Message.objects.bulk_create(rows, batch_size=1_000)]


def _wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        if time.monotonic() > deadline:
            raise SystemExit("Not every message was delivered; the figure means nothing.")
        time.sleep(0.1)
