"""A partition that nobody made in time is made by the web process; the request is neither lost nor refused for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client

from tests import factories
from tests.faults import processes, traffic
from trackly import partitions
from webhooks.inbound.models import InboundRequest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_partitions() -> Iterator[None]:
    with connection.cursor() as cursor:
        for series in partitions.SERIES:
            cursor.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(%s)", [series.parent]
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP TABLE {name}")
    yield
    partitions.ensure(datetime.now(UTC) - timedelta(days=1))


def test_an_accepted_callback_is_stored(client: Client) -> None:
    (message,) = traffic.messages(1)
    path = f"/api/webhook-feedbacks/sandbox/{message.provider_account.callback_token}"
    body = traffic.body(traffic.report(message.reference))
    assert client.post(path, body, content_type="application/json").status_code == 200
    assert InboundRequest.objects.get().state == "waiting"


def test_a_refused_callback_is_stored_and_counted_once(client: Client) -> None:
    path = "/api/webhook-feedbacks/sandbox/wrong"
    assert client.post(path, b"{}", content_type="application/json").status_code == 403
    row = InboundRequest.objects.get()
    assert row.state == "refused"


def test_a_postback_is_stored(client: Client) -> None:
    contract = factories.NetworkConnectionFactory()
    assert client.get(f"/api/postbacks/tune/{contract.postback_token}?click_id=k&payout=1").status_code == 200
    assert InboundRequest.objects.get().source == "postback"


def test_ten_requests_at_once_make_it_once() -> None:
    (message,) = traffic.messages(1)
    path = f"/api/webhook-feedbacks/sandbox/{message.provider_account.callback_token}"
    body = traffic.body(traffic.report(message.reference))
    with processes.web() as port:
        answers = processes.at_once([lambda: processes.post(port, path, body)] * 10)
    assert answers == [200] * 10
    assert InboundRequest.objects.count() == 10
