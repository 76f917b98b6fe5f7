"""Measures messages sent per second by one worker to a provider on this machine, and until all of them are delivered:
the provider's reports come back through the web server and are applied by the same worker."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from django.db.models import Max, Min

from bench import ordinary
from bench.serving import free_port, process, web
from bench.table import Line
from sendinglists.models import Message, ProviderAccount, SendingList
from trackly.models import Account
from trackly.signing import token_hash
from webhooks.inbound.models import DeliveryEvent
from webhooks.statuses import Origin

MESSAGES = 6_000
ORDINARY_MESSAGES = 1_000
HOST = "https://bench.api.infobip.com"
TOKEN = "sendingmeasurement"
PATIENCE_S = 180


def measure() -> list[list[Line]]:
    """Every message to another number, no two by one call; each is reported once."""
    port, provider = free_port(), free_port()
    base = f"http://127.0.0.1:{port}"
    sending_list = _list()
    with process("-m", "bench.provider", str(provider)), web(port, PUBLIC_BASE_URL=base):
        url = f"http://127.0.0.1:{provider}"
        sent, delivered = _ours(sending_list, base, url)
        slow_sent, slow_delivered = _ordinary(sending_list, base, url)
    note = f"{MESSAGES:,} and {ORDINARY_MESSAGES:,} messages; provider, web, worker and database on the same cores"
    return [
        [Line(what="messages sent a second, one worker", per_second=sent, note=note),
         Line(what="", per_second=slow_sent)],
        [Line(what="the same, until delivered", per_second=delivered, note="reports received, committed and applied"),
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


def _ours(sending_list: SendingList, base: str, url: str) -> tuple[float, float]:
    ids = _queue(sending_list, MESSAGES, due_at=datetime.now(UTC))
    environment = {"PUBLIC_BASE_URL": base, "OUTGOING_ROUTES": f"{HOST}={url}"}
    with process("manage.py", "work", **environment):
        rows = Message.objects.filter(id__in=ids)
        _wait_for(lambda: rows.filter(status="delivered").count() == MESSAGES)
        ended = time.time()
    began = rows.aggregate(at=Min("handed_at"))["at"]
    answers = DeliveryEvent.objects.filter(message__in=ids, origin=Origin.ANSWER)
    if answers.count() != MESSAGES:
        raise SystemExit("Not every message was answered once; the figure means nothing.")
    answered = answers.aggregate(at=Max("received_at"))["at"]
    return MESSAGES / (answered - began).total_seconds(), MESSAGES / (ended - began.timestamp())


def _ordinary(sending_list: SendingList, base: str, url: str) -> tuple[float, float]:
    ids = _queue(sending_list, ORDINARY_MESSAGES, due_at=None)
    began = time.perf_counter()
    ordinary.send(ids, url, f"{base}/ordinary/infobip/{TOKEN}")
    sent = time.perf_counter() - began
    applied = 0
    while applied < ORDINARY_MESSAGES:
        applied += ordinary.apply(ORDINARY_MESSAGES)
        if time.perf_counter() - began > PATIENCE_S:
            raise SystemExit("Not every message was reported; the figure means nothing.")
    return ORDINARY_MESSAGES / sent, ORDINARY_MESSAGES / (time.perf_counter() - began)


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
