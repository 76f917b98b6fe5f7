"""Whatever order the answer to a send, callbacks, polls and a STOP come in, and however often: the end is the same, and nobody
who opted out is sent anything that was claimed afterwards."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sendinglists.asking import Asking
from sendinglists.models import Contact, Message, SendingList, Subscription
from sendinglists.sending import LEASE, Sending
from sendinglists.subscriptions import Decided, decide
from tests.factories import MessageFactory, SendingListFactory
from trackly.signing import new_uid
from trackly.totals import Totals
from webhooks.inbound import timeline
from webhooks.inbound.models import DeliveryEvent
from webhooks.inbound.timeline import apply_reports
from webhooks.inbound.unheard import unheard
from webhooks.orders import Sent, Verdict
from webhooks.statuses import Decision, Heard, Reason, Report, Status, fingerprint

pytestmark = pytest.mark.django_db
Step = Callable[[], object]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PERSON = "+14155550101"
STATE = [
    "status", "status_detail", "status_at", "status_code", "status_mark", "provider_message_id", "sent_at", "error_status",
    "error_at", "error_mark", "error_vendor_code", "error_code", "error_text", "reason", "segments", "cost",
    "cost_currency", "leased_until",
]  # fmt: skip


@pytest.fixture
def message() -> Message:
    line = SendingListFactory()
    Contact.objects.create(account=line.account, phone=PERSON)
    return MessageFactory(sending_list=line, to=PERSON, due_at=NOW, created_at=NOW)


def at(seconds: int) -> datetime:
    return NOW + seconds * SECOND


ANSWERS: dict[str, dict[str, Any]] = {
    "accepted": {"verdict": Verdict.ACCEPTED, "status": Status.ACCEPTED, "id": "v-1"},
    "accepted, priced": {"verdict": Verdict.ACCEPTED, "status": Status.QUEUED, "id": "v-1", "price": Decimal("0.0075")},
    "refused": {"verdict": Verdict.REFUSED, "status": Status.REJECTED, "reason": Reason.INVALID_NUMBER},
    "opted out there": {"verdict": Verdict.REFUSED, "status": Status.REJECTED, "reason": Reason.OPT_OUT},
    "not now": {"verdict": Verdict.LATER, "status": Status.QUEUED, "reason": Reason.THROTTLED},
    "unclear": {"verdict": Verdict.UNCLEAR, "status": Status.UNKNOWN},
}
REPORTS: dict[str, dict[str, Any]] = {
    "sent": {"status": Status.SENT, "at": at(1)},
    "sent, named": {"status": Status.SENT, "at": at(1), "public": True},
    "delivered": {"status": Status.DELIVERED, "at": at(2), "price": Decimal("0.01")},
    "delivered, no time": {"status": Status.DELIVERED},
    "undelivered": {"status": Status.UNDELIVERED, "at": at(2), "reason": Reason.UNREACHABLE},
    "opted out": {"status": Status.REJECTED, "at": at(2), "reason": Reason.OPT_OUT},
    "odd": {"status": Status.UNKNOWN, "at": at(3)},
}
SAID = {"STOP": (Decision.OPT_OUT, at(5)), "START": (Decision.OPT_IN, at(6)), "late STOP": (Decision.OPT_OUT, at(7))}


class World:
    """One message in hand at its provider, and everything that may be heard about it."""

    def __init__(self, message: Message, answer: str) -> None:
        self.message = message
        self.sending, self.asking = Sending(hear=timeline.hear, unheard=unheard), Asking(hear=timeline.hear)
        (self.job,) = self.sending.claim(NOW, 1)
        Message.objects.update(ask_at=NOW)
        (self.question,) = self.asking.claim(NOW, 1)
        Message.objects.update(ask_at=None, asked=0)
        said = ANSWERS[answer]
        spoken = _report(message.reference, answer, said)
        self.sent = Sent(verdict=said["verdict"], report=spoken, provider_message_id=said.get("id", ""))

    def answer(self) -> None:
        self.sending.record([(self.job, self.sent)], at(4))

    def expire(self) -> None:
        self.sending.expire(NOW + LEASE)

    def poll(self, name: str) -> Step:
        spoken = _report(self.message.reference, name, REPORTS[name])
        return lambda: self.asking.record([(self.question, [spoken])], at(60))

    def callback(self, name: str, by_theirs: bool) -> Step:
        said = REPORTS[name]
        public_id = self.message.public_id if said.get("public") else ""
        spoken = _report("v-1" if by_theirs or public_id else self.message.reference, name, said, public_id=public_id)
        heard = Heard(
            report=spoken, provider="sandbox", party_id=self.message.provider_account_id, account_id=None,
            received_at=at(8), request_uid=new_uid(0),
        )  # fmt: skip

        def tell() -> None:
            totals, tally = Totals(), defaultdict(Counter)
            decide(apply_reports([heard], tally, totals), totals)

        return tell

    def say(self, word: str) -> Step:
        return lambda: told(self.message.sending_list, *SAID[word], word)

    def end(self) -> tuple[Any, ...]:
        timeline.sweep(at(99), since=NOW)
        people = list(Subscription.objects.values_list("state", "decided_at"))
        n_events = DeliveryEvent.objects.filter(message=self.message).count()
        return Message.objects.values_list(*STATE).get(), people, n_events


def _report(key: str, name: str, said: dict[str, Any], **more: Any) -> Report:
    return Report(
        message_key=key,
        status=said["status"],
        vendor_status=name,
        at=said.get("at"),
        reason=said.get("reason"),
        error_code="9" if "reason" in said else "",
        price=said.get("price"),
        currency="USD" if "price" in said else "",
        **more,
    )


def told(line: SendingList | None, decision: Decision, when: datetime, key: str) -> None:
    """The recipient's own word, as it is entered by whatever took it."""
    assert line is not None
    said = Decided(
        account_id=line.account_id, list_id=line.id, phone=PERSON, decision=decision, at=when, origin="reply",
        is_proven=True, fingerprint=fingerprint((key,)), request_uid=None,
    )  # fmt: skip
    decide([said], Totals())


def ended(message: Message, answer: str, heard: Any, order: Callable[[list[Step]], list[Step]]) -> Any:
    callbacks, polls, said = heard
    with transaction.atomic():
        world = World(message, answer)
        steps = [
            world.answer,
            *(world.callback(*one) for one in callbacks),
            *map(world.poll, polls),
            *map(world.say, said),
        ]
        for step in order(steps):
            step()
        state = world.end()
        transaction.set_rollback(True)
    return state


HEARD = st.tuples(
    st.lists(st.tuples(st.sampled_from(sorted(REPORTS)), st.booleans()), max_size=4),
    st.lists(st.sampled_from(sorted(REPORTS)), max_size=2),
    st.lists(st.sampled_from(sorted(SAID)), max_size=2, unique=True),
)
NO_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=100, deadline=None, suppress_health_check=NO_CHECKS)
@given(answer=st.sampled_from(sorted(ANSWERS)), heard=HEARD, data=st.data())
def test_any_order_of_answer_callbacks_polls_and_stop_ends_alike(
    message: Message, answer: str, heard: Any, data: st.DataObject
) -> None:
    def shuffled(steps: list[Step]) -> list[Step]:
        repeated = steps + [steps[index] for index in data.draw(st.lists(st.integers(0, len(steps) - 1), max_size=2))]
        return [repeated[place] for place in data.draw(st.permutations(range(len(repeated))))]

    expected = ended(message, answer, heard, lambda steps: steps)
    assert ended(message, answer, heard, shuffled) == expected


@pytest.mark.parametrize("order", [("answer", "expire"), ("expire", "answer")])
@pytest.mark.parametrize("answer", ["accepted", "refused"])
def test_an_answer_before_or_after_its_lease_ended_ends_alike(message: Message, answer: str, order: Any) -> None:
    world = World(message, answer)
    for name in order:
        getattr(world, name)()
    row = Message.objects.get()
    ending = {"accepted": (Status.ACCEPTED, "v-1", NOW), "refused": (Status.REJECTED, "", None)}[answer]
    assert (row.status, row.provider_message_id, row.sent_at) == ending
    assert (row.due_at, row.leased_until) == (None, None)


def test_what_was_not_taken_is_tried_again_also_when_the_answer_comes_after_its_lease(message: Message) -> None:
    world = World(message, "not now")
    world.expire()
    world.answer()
    row = Message.objects.get()
    assert row.due_at is not None
    assert (row.ask_at, row.sent_at, row.tries) == (None, None, 1)


@settings(max_examples=60, deadline=None, suppress_health_check=NO_CHECKS)
@given(
    acts=st.lists(st.sampled_from(["STOP", "START", "queue", "claim"]), max_size=12),
    scope=st.sampled_from(SendingList.Scope),
)
def test_nobody_is_sent_what_is_claimed_after_her_last_word_was_stop(
    message: Message, acts: list[str], scope: str
) -> None:
    line = message.sending_list
    with transaction.atomic():
        SendingList.objects.update(opt_out_scope=scope, brand="Acme")
        is_out = False
        for index, act in enumerate([*acts, "claim"]):
            now = at(index)
            if act == "queue":
                MessageFactory(sending_list=line, to=PERSON, due_at=now, created_at=now)
            elif act == "claim":
                n_due = Message.objects.filter(due_at__lte=now).count()
                assert len(Sending(hear=timeline.hear, unheard=unheard).claim(now, 48)) == (0 if is_out else n_due)
            else:
                is_out = act == "STOP"
                told(line, Decision.OPT_OUT if is_out else Decision.OPT_IN, now, str(index))
        transaction.set_rollback(True)


def test_an_answer_is_replaced_by_none_of_another_try(message: Message) -> None:
    """The same words of two tries are two entries, and the later one stands above the earlier."""
    world = World(message, "not now")
    world.answer()
    (job,) = world.sending.claim(at(600), 1)
    accepted = replace(world.sent, verdict=Verdict.ACCEPTED, provider_message_id="v-1")
    world.sending.record([(job, accepted)], at(601))
    assert DeliveryEvent.objects.count() == 2
    assert Message.objects.get().status_at == at(600)
