"""The admin's index knows what waits to be sent, what was never answered and who cannot send; green only where it is true."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from sendinglists.models import Message, ProviderAccount, SendingList
from sendinglists.sending import Sending
from tests import factories
from tests.trackly.test_overview import INDEX, card, index, staff
from trackly.support import outgoing_queue
from webhooks.inbound import timeline
from webhooks.inbound.unheard import unheard

pytestmark = pytest.mark.django_db
__all__ = ["staff"]
TITLE, FAILED = "Waiting to be sent", "Webhooks not configured"
GREEN = "tk-good"


def due(n: int = 1, *, minutes: float = 0, **fields: Any) -> SendingList:
    line = fields.pop("sending_list", None) or factories.SendingListFactory()
    at = factories.now() - timedelta(minutes=minutes)
    for _ in range(n):
        factories.MessageFactory(sending_list=line, **{"due_at": at} | fields)
    return line


def sent_lately(line: SendingList, *, minutes: float = 0) -> None:
    """As if the list could send again since then."""
    SendingList.objects.filter(pk=line.pk).update(next_slot_at=factories.now() - timedelta(minutes=minutes))


def handed(*, hours: float = 1, **fields: Any) -> Message:
    at = factories.now() - timedelta(hours=hours)
    return factories.MessageFactory(**{"status": "unknown", "handed_at": at, "tries": 1} | fields)


def html_of(client: Client) -> str:
    return index(client).partition(f"<h2>{TITLE}</h2>")[2].partition("</article>")[0]


def _first_link(html: str, title: str) -> str:
    found = html.partition(f"<h2>{title}</h2>")[2].partition('href="')[2]
    return unescape(found.partition('"')[0])


def test_where_nothing_was_ever_sent_there_is_no_card(staff: Client) -> None:
    # What was sent elsewhere never waits here.
    factories.MessageFactory(is_external=True, status="delivered")
    assert TITLE not in index(staff)


def test_messages_that_nobody_hands_over_are_an_alarm_though_the_worker_lives(staff: Client) -> None:
    factories.WorkerRunFactory()
    due(12, minutes=4)
    text = card(index(staff), TITLE)
    assert text.startswith("12 Sending stands still: a list could have sent for 4 min. See the worker's log")
    assert "12 messages due, the oldest for 4 min" in text
    assert GREEN not in html_of(staff)


def test_one_list_that_stands_still_is_seen_beside_those_that_send(staff: Client) -> None:
    factories.WorkerRunFactory()
    sent_lately(due(3, minutes=10))
    assert "stands still" not in card(index(staff), TITLE)
    sent_lately(due(3, minutes=10), minutes=3)
    assert "could have sent for 3 min" in card(index(staff), TITLE)


def test_a_long_queue_of_a_slow_list_that_moves_is_no_alarm(staff: Client) -> None:
    factories.WorkerRunFactory()
    sent_lately(due(5, minutes=60), minutes=-1)
    html = index(staff)
    assert card(html, TITLE) == "5 5 messages due, the oldest for 1 h Each list sends as fast as its speed allows"
    assert "ov-card-alarm" not in html
    assert GREEN not in html_of(staff)


def test_what_is_due_later_does_not_wait(staff: Client) -> None:
    factories.WorkerRunFactory()
    sent_lately(due(2, minutes=-5))
    assert card(index(staff), TITLE) == "0 all handed over"
    assert GREEN in html_of(staff)


def test_what_the_provider_does_not_take_waits_for_another_try(staff: Client) -> None:
    factories.WorkerRunFactory()
    line = due(2, minutes=-0.1, tries=1)
    text = card(index(staff), TITLE)
    assert text == "2 2 messages not taken, to be tried again"
    due(minutes=-5, tries=3, sending_list=line)
    text = card(index(staff), TITLE)
    assert text.startswith("3 The provider did not take 1 message more than once. Open one to read why.")
    assert GREEN not in html_of(staff)


def test_without_a_worker_nothing_is_green(staff: Client) -> None:
    run = factories.WorkerRunFactory(beat_at=factories.now() - timedelta(seconds=90))
    line = factories.SendingListFactory()
    sent_lately(line)
    html = index(staff)
    assert card(html, TITLE) == "0 Nothing is due right now"
    assert GREEN not in html
    due(3, sending_list=line)
    assert card(index(staff), TITLE).startswith("3 Nothing is sent while no worker runs; start one.")
    run.delete()
    assert GREEN not in index(staff)


@pytest.mark.parametrize("silent_for", [90, None])
def test_without_a_worker_nobody_says_that_all_is_worked_off(staff: Client, silent_for: int | None) -> None:
    said = "Everything that came is worked off"
    if silent_for:
        factories.WorkerRunFactory(beat_at=factories.now() - timedelta(seconds=silent_for))
    assert said not in index(staff)
    factories.WorkerRunFactory()
    assert said in index(staff)


def test_a_request_that_waits_for_its_next_try_is_not_worked_off(staff: Client) -> None:
    factories.WorkerRunFactory()
    factories.InboundRequestFactory(due_at=factories.now() + timedelta(minutes=5))
    assert "waits for its next try" in card(index(staff), "Oldest waiting")


def test_what_was_handed_over_within_a_day_and_never_answered_is_counted(staff: Client) -> None:
    factories.WorkerRunFactory()
    handed()
    handed(status="queued", ask_at=factories.now() + timedelta(hours=1))
    handed(hours=25)
    handed(status="delivered")
    handed(sent_at=factories.now())
    # The worker still listens for its answer.
    handed(status="queued", leased_until=factories.now() + timedelta(minutes=1))
    handed(status="queued", due_at=factories.now() + timedelta(hours=1))
    text = card(index(staff), TITLE)
    assert text == (
        "0 2 messages handed over in 24 h and never answered"
        " They may have gone and are not sent again; look them up at the provider"
    )
    assert GREEN not in html_of(staff)


def test_messages_in_hand_of_a_worker_that_is_gone_wait(staff: Client) -> None:
    factories.WorkerRunFactory()
    handed(status="queued", leased_until=factories.now() - timedelta(seconds=5))
    assert card(index(staff), TITLE) == "1 1 message in hand of a worker that is gone"


def test_the_link_leads_to_the_messages_that_wait(staff: Client) -> None:
    due(2, minutes=4)
    handed()
    factories.MessageFactory(status="delivered")
    rows = staff.get(_first_link(index(staff), TITLE)).context["cl"].result_list
    assert sorted(row.status for row in rows) == ["queued", "queued", "unknown"]


def test_a_provider_account_that_could_not_be_configured_is_named(staff: Client) -> None:
    factories.WorkerRunFactory()
    failed = ProviderAccount.WebhookState.FAILED
    party = factories.ProviderAccountFactory(name="Acme <b>", webhook_state=failed)
    factories.ProviderAccountFactory(webhook_state=failed, removed_at=factories.now())
    html = index(staff)
    # Nothing was ever sent: there is no queue to speak of.
    assert TITLE not in html
    text = card(html, FAILED)
    assert text.startswith("1 Nothing is sent while a STOP would not be heard. Open it")
    assert text.endswith("Acme <b>")
    assert _first_link(html, FAILED) == reverse("admin:sendinglists_provideraccount_change", args=[party.pk])
    factories.ProviderAccountFactory(webhook_state=failed)
    html = index(staff)
    assert card(html, FAILED).startswith("2 ")
    rows = staff.get(_first_link(html, FAILED)).context["cl"].result_list
    assert [row.webhook_state for row in rows if row.removed_at is None] == ["failed", "failed"]


def test_who_may_not_see_messages_or_accounts_is_told_nothing_of_them(client: Client) -> None:
    factories.ProviderAccountFactory(name="Secret", webhook_state="failed")
    due(2)
    person = factories.UserFactory(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename="view_inboundrequest"))
    client.force_login(person)
    assert TITLE not in index(client)
    person.user_permissions.add(Permission.objects.get(codename="view_message"))
    html = index(client)
    assert card(html, TITLE).startswith("2 ")
    assert FAILED not in html


def test_more_than_are_counted_are_told_as_more(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_queue, "BOUND", 3)
    due(2)
    due(2)
    assert card(index(staff), TITLE).startswith("2+ ")


def test_what_is_told_is_what_the_sender_made_of_it(staff: Client) -> None:
    """The queue's own verbs, not rows made up: a list that was served is known to send."""
    factories.WorkerRunFactory()
    due(2, minutes=4)
    Sending(hear=timeline.hear, unheard=unheard).claim(factories.now(), 10)
    assert card(index(staff), TITLE) == "0 all handed over"


def test_the_index_asks_twelve_times_at_most(staff: Client, django_assert_max_num_queries: Any) -> None:
    factories.WorkerRunFactory()
    due(2, minutes=4)
    for _ in range(3):
        factories.ProviderAccountFactory(webhook_state="failed")
    with django_assert_max_num_queries(12):
        staff.get(INDEX)
