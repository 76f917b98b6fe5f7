"""The set-up of a provider account at its provider: steps in order, repeated safely, taken back, and told in words."""

import json
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction

from sendinglists import numbers, setup
from sendinglists.callbacks import callback_url
from sendinglists.configuring import LEASE, Configuring
from sendinglists.models import ProviderAccount
from tests import factories
from tests.fakes.acme import KEY, OURS, SECOND, SETTINGS, FakeAcme
from tests.fakes.server import Fault, Response
from tests.sendinglists.conftest import BASE, perform
from tests.webhooks.calls import call, events, report, token_url
from trackly.retries import SETUP
from webhooks.orders import CannotUse, StepState

pytestmark = pytest.mark.django_db
Work = Callable[..., int]
CONFIGURE = setup.Task.CONFIGURE


def party(*lists: str, provider: str = "acme", **fields: Any) -> ProviderAccount:
    row: ProviderAccount = factories.ProviderAccountFactory(
        provider=provider, settings=fields.pop("settings", SETTINGS), **fields
    )
    for number in lists or (OURS,):
        factories.SendingListFactory(provider_account=row, number=number)
    return row


def wanted(*lists: str, **fields: Any) -> ProviderAccount:
    row = party(*lists, **fields)
    setup.want(row, CONFIGURE, factories.now())
    return row


def steps(row: ProviderAccount) -> list[tuple[str, str]]:
    return list(row.steps.order_by("position").values_list("key", "state"))


def state(row: ProviderAccount) -> str:
    row.refresh_from_db()
    return row.webhook_state


# --- configured


def test_the_steps_stand_there_at_once_and_end_configured(acme: FakeAcme, work_through: Work) -> None:
    row = wanted(OURS, SECOND)
    assert (state(row), steps(row)) == ("working", [("account", "waiting"), (OURS, "waiting"), (SECOND, "waiting")])
    assert work_through() == 3
    assert state(row) == "configured"
    assert steps(row) == [("account", "done"), (OURS, "done"), (SECOND, "done")]
    assert acme.done() == [("PUT", "account"), ("PUT", OURS), ("PUT", SECOND)]
    assert acme.hooks[OURS] == {"url": f"{BASE}/api/webhook-feedbacks/acme/{row.callback_token}", "password": "pass"}
    assert (row.configured_url, row.setup_task, row.setup_leased_until) == (callback_url(row), "", None)


def test_each_step_is_recorded_before_the_next_begins(acme: FakeAcme) -> None:
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    assert perform(now) == 1
    assert (state(row), steps(row)) == ("working", [("account", "done"), (OURS, "waiting")])
    assert row.steps.get(key="account").said == "told"


def test_a_provider_without_steps_is_configured_at_once(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = ""
    row = wanted(provider="sandbox", settings={})
    assert (state(row), steps(row), row.setup_task) == ("configured", [], "")


def test_without_a_public_address_it_fails_with_the_fix_and_asks_nobody(
    acme: FakeAcme, work_through: Work, settings: Any
) -> None:
    settings.PUBLIC_BASE_URL = ""
    row = wanted()
    assert state(row) == "failed"
    assert "Set it, restart, and configure again" in row.webhook_state_cause
    assert steps(row) == [("account", "waiting"), (OURS, "waiting")]
    assert work_through() == 0
    assert acme.requests == []


def test_a_worker_without_a_public_address_does_not_configure_a_path(
    acme: FakeAcme, work_through: Work, settings: Any
) -> None:
    row = wanted()
    settings.PUBLIC_BASE_URL = ""
    assert work_through() == 0
    assert (state(row), acme.requests) == ("failed", [])


def test_configured_twice_it_is_as_configured_once(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    work_through()
    once = dict(acme.hooks)
    setup.want(row, CONFIGURE, factories.now())
    assert steps(row) == [("account", "waiting"), (OURS, "waiting")]
    work_through()
    assert (state(row), acme.hooks) == ("configured", once)
    assert steps(row) == [("account", "done"), (OURS, "done")]


def test_two_accounts_go_side_by_side_and_never_two_steps_of_one(acme: FakeAcme) -> None:
    first, second = wanted(OURS), wanted(SECOND)
    now = factories.now() + timedelta(seconds=1)
    line = Configuring()
    jobs = line.claim(now, 8)
    assert {job.account_id for job in jobs} == {first.pk, second.pk}
    assert line.claim(now, 8) == []


def test_no_more_is_claimed_than_there_are_slots(acme: FakeAcme) -> None:
    wanted(OURS)
    wanted(SECOND)
    assert len(Configuring().claim(factories.now() + timedelta(seconds=1), 1)) == 1


# --- nothing to configure with, or for


def test_an_account_without_credentials_is_never_called_configured(acme: FakeAcme, work_through: Work) -> None:
    row = wanted(settings={"base_url": SETTINGS["base_url"]})
    assert work_through() == 0
    assert (state(row), row.setup_task, row.setup_due_at, steps(row), acme.requests) == ("unset", "", None, [], [])
    assert setup.missing(row) == ["Key"]
    assert setup.warnings(row) == [
        "Its credentials are not entered yet (Key): nothing can be sent or configured with it."
    ]
    # They were lost while it was under way.
    lost = wanted(SECOND)
    lost.credentials = []
    lost.save(update_fields=["credentials"])
    work_through()
    assert state(lost) == "unset"


def test_credentials_that_lack_something_take_nothing_back(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    work_through()
    row.credentials = [{"values": {"base_url": SETTINGS["base_url"]}, "until": None}]
    row.save(update_fields=["credentials"])
    setup.want(row, CONFIGURE, factories.now())
    work_through()
    assert (state(row), steps(row)) == ("unset", [("account", "done"), (OURS, "done")])
    assert set(acme.hooks) == {"account", OURS}


def test_one_whose_steps_are_all_of_numbers_waits_for_its_first_list(acme: FakeAcme, work_through: Work) -> None:
    row = factories.ProviderAccountFactory(provider="twilio", settings={"account_sid": "AC1", "auth_token": "t"})
    setup.want(row, CONFIGURE, factories.now())
    assert (state(row), row.setup_task) == ("unset", "")
    assert "It waits for its first list" in row.webhook_state_cause


def test_what_waits_for_its_first_list_at_its_provider_is_not_configured_either(
    acme: FakeAcme, work_through: Work
) -> None:
    row = factories.ProviderAccountFactory(
        provider="infobip", settings={"base_url": "https://x1.api.infobip.com", "api_key": "k"}
    )
    setup.want(row, CONFIGURE, factories.now())
    assert work_through() == 1
    assert (state(row), steps(row)) == ("unset", [("subscription", "warning")])
    assert "It waits for its first list" in row.webhook_state_cause


def test_what_is_configured_without_numbers_waits_for_no_list(acme: FakeAcme, work_through: Work) -> None:
    row = factories.ProviderAccountFactory(provider="acme", settings=SETTINGS)
    setup.want(row, CONFIGURE, factories.now())
    work_through()
    assert (state(row), steps(row)) == ("configured", [("account", "done")])


def test_a_provider_that_was_told_nothing_is_not_said_to_have_been_told_an_address(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = ""
    row = wanted(provider="sandbox", settings={})
    assert row.configured_url == ""
    settings.PUBLIC_BASE_URL = BASE
    assert setup.warnings(row) == []
    # As it was stored before.
    row.configured_url = f"/api/webhook-feedbacks/sandbox/{row.callback_token}"
    assert setup.warnings(row) == []


# --- killed, late, asked for anew


def test_killed_between_steps_it_goes_on_with_the_next(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    perform(factories.now() + timedelta(seconds=1))
    assert work_through() == 1
    assert acme.done() == [("PUT", "account"), ("PUT", OURS)]
    assert state(row) == "configured"


def test_killed_within_a_step_it_is_done_again_when_its_lease_is_over(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    assert len(Configuring().claim(now, 8)) == 1
    assert work_through(now + LEASE - timedelta(seconds=1)) == 0
    assert work_through(now + LEASE) == 2
    assert state(row) == "configured"


def test_a_step_that_comes_back_after_its_lease_is_not_put_down(acme: FakeAcme) -> None:
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    line = Configuring()
    [late] = line.claim(now, 8)
    [again] = line.claim(now + LEASE, 8)
    outcome = setup.Outcome(state=StepState.FAILED, said="from the dead")
    line.record([(late, outcome)], now + LEASE)
    row.refresh_from_db()
    assert row.setup_leased_until == again.lease
    assert steps(row)[0] == ("account", "waiting")


def test_what_was_done_with_the_former_token_is_done_again(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    line = Configuring()
    [job] = line.claim(now, 8)
    setup.rotate(row, now + timedelta(hours=24), now)
    line.record([(job, setup.Outcome(state=StepState.DONE, said="told the old one"))], now)
    assert steps(row)[0] == ("account", "waiting")
    work_through()
    assert state(row) == "configured"
    assert {hook["url"] for hook in acme.hooks.values()} == {callback_url(row)}


def test_an_account_asked_for_anew_while_a_step_runs_is_left_to_that_worker_first(acme: FakeAcme) -> None:
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    line = Configuring()
    [job] = line.claim(now, 8)
    setup.want(row, CONFIGURE, now)
    assert line.claim(now, 8) == []
    line.record([(job, setup.Outcome(state=StepState.DONE, said="told"))], now)
    assert [job.errand.key for job in line.claim(now, 8)] == [OURS]


# --- failures


def test_a_temporary_failure_is_tried_again_and_then_succeeds(acme: FakeAcme, work_through: Work) -> None:
    acme.faults.append(Fault(kind="instead", response=Response(status=503)))
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    assert work_through(now) == 1
    assert (state(row), row.setup_due_at) == ("working", now + SETUP[0])
    assert row.webhook_state_cause == "Acme answered 503. It is tried again."
    assert steps(row) == [("account", "waiting"), (OURS, "waiting")]
    assert work_through(now + SETUP[0]) == 2
    assert (state(row), row.webhook_state_cause, row.setup_tries) == ("configured", "", 0)


@pytest.mark.parametrize(("kind", "said"), [
    ("drop_before", "Acme did not answer."), ("drop_after", "Acme did not answer."),
])  # fmt: skip
def test_a_connection_that_ends_is_a_temporary_failure(acme: FakeAcme, kind: Any, said: str) -> None:
    acme.faults.append(Fault(kind=kind))
    row = wanted()
    perform(factories.now() + timedelta(seconds=1))
    assert state(row) == "working"
    assert row.webhook_state_cause.startswith(said)


def test_a_failure_that_stays_temporary_for_too_long_is_final(acme: FakeAcme) -> None:
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    for wait in (timedelta(0), *SETUP):
        acme.faults.append(Fault(kind="instead", response=Response(status=503)))
        now += wait
        assert perform(now) == 1
    assert steps(row) == [("account", "failed"), (OURS, "waiting")]
    perform(now)
    assert (state(row), row.webhook_state_cause) == ("failed", "Acme answered 503. Ask Acme.")


def test_a_permanent_failure_ends_it_with_the_first_failed_steps_words(acme: FakeAcme, work_through: Work) -> None:
    where = {"PUT /hooks/%2B18005550142": 409, "PUT /hooks/%2B18005550143": 410}
    for place, status in where.items():
        fault = Fault(
            kind="instead",
            response=Response(status=status),
            where=lambda seen, place=place: f"{seen.method} {seen.path}" == place,
        )
        acme.faults.append(fault)
    row = wanted(OURS, SECOND)
    work_through()
    assert (state(row), row.webhook_state_cause) == ("failed", "Acme answered 409. Ask Acme.")
    assert steps(row) == [("account", "done"), (OURS, "failed"), (SECOND, "failed")]
    assert (row.setup_task, row.configured_url) == ("", "")


def test_a_mistake_of_ours_is_told_and_stops_nobody_else(
    acme: FakeAcme, work_through: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, other = wanted(OURS), wanted(SECOND, provider="sandbox")
    acme.faults.append(Fault(kind="instead", response=Response(status=200, body=b"not json")))
    row.steps.update(at=factories.now())
    monkeypatch.setattr("tests.fakes.acme._outcome", lambda answer, said: json.loads(answer.body)["missing"])
    work_through()
    assert state(row) == "failed"
    assert "a mistake of ours" in row.webhook_state_cause
    assert state(other) == "configured"


def test_an_account_that_cannot_be_begun_stops_no_other(acme: FakeAcme, work_through: Work) -> None:
    broken, fine = wanted(OURS), wanted(SECOND)
    # Its encryption key is gone.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sendinglists_provideraccount SET credentials = 'junk' WHERE id = %s", [broken.pk])
    work_through()
    assert state(fine) == "configured"
    told = ProviderAccount.objects.filter(pk=broken.pk).values_list(
        "webhook_state", "webhook_state_cause", "setup_task"
    )
    assert told.get() == ("failed", told.get()[1], "")
    assert "This is a mistake of ours" in told.get()[1]


def test_a_message_of_the_account_being_written_holds_up_no_configuration(
    acme: FakeAcme, transactional_db: None
) -> None:
    row = wanted()
    with transaction.atomic():
        factories.MessageFactory(sending_list=row.sendinglist_set.get())
        # As at the commit: the account is locked against the loss of its key.
        connection.check_constraints()
        found: list[int] = []

        def claim() -> None:
            try:
                found.append(len(Configuring().claim(factories.now() + timedelta(seconds=1), 8)))
            finally:
                connection.close()

        other = Thread(target=claim)
        other.start()
        other.join(10)
    assert found == [1]


# --- lists, credentials, address


def test_a_list_more_is_configured_and_a_list_less_is_taken_back(acme: FakeAcme, work_through: Work) -> None:
    row = wanted(OURS)
    work_through()
    assert numbers.add(row, {SECOND: "Second"}, factories.now()) == 1
    work_through()
    assert set(acme.hooks) == {"account", OURS, SECOND}
    row.sendinglist_set.filter(number=OURS).update(status="deleted")
    setup.want(row, CONFIGURE, factories.now())
    assert steps(row) == [("account", "waiting"), (SECOND, "waiting"), (OURS, "waiting")]
    assert row.steps.get(key=OURS).title == f"Take back: Hook of {OURS}"
    work_through()
    assert set(acme.hooks) == {"account", SECOND}
    assert steps(row) == [("account", "done"), (SECOND, "done")]
    assert acme.done()[-1] == ("DELETE", OURS)
    assert state(row) == "configured"


def test_a_number_added_again_opens_its_deleted_list(acme: FakeAcme) -> None:
    row = party(OURS)
    row.sendinglist_set.update(status="deleted", name="Known")
    assert numbers.add(row, {OURS: "Main line"}, factories.now()) == 1
    assert list(row.sendinglist_set.values_list("name", "status")) == [("Known", "active")]
    assert numbers.add(row, {OURS: "Main line"}, factories.now()) == 0


def test_rotating_configures_the_new_url_and_the_old_one_stays_valid(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    work_through()
    former = acme.hooks[OURS]["url"].removeprefix(BASE)
    setup.rotate(row, factories.now() + timedelta(hours=24), factories.now())
    assert state(row) == "working"
    work_through()
    assert acme.hooks[OURS]["url"] == callback_url(row) != BASE + former
    assert (state(row), setup.warnings(row)) == ("configured", [])
    # Of the made-up provider, through the directory: both prove themselves.
    row.provider = "sandbox"
    row.save()
    for path in (former.replace("acme", "sandbox"), token_url(row)):
        assert call(path, events(report("m"))).status == 200


def test_a_changed_public_address_is_told_until_it_is_configured_again(
    acme: FakeAcme, work_through: Work, settings: Any
) -> None:
    row = wanted()
    work_through()
    assert setup.warnings(ProviderAccount.objects.get(pk=row.pk)) == []
    settings.PUBLIC_BASE_URL = "https://other.example.com"
    row.refresh_from_db()
    [warning] = setup.warnings(row)
    assert "told to call https://hooks.example.com, and our public address is now https://other.example.com" in warning
    assert row.callback_token not in warning
    assert [outcome.said for _, outcome in setup.look(row)] == ["not ours", "not ours"]
    setup.want(row, CONFIGURE, factories.now())
    work_through()
    row.refresh_from_db()
    assert setup.warnings(row) == []
    assert [outcome.said for _, outcome in setup.look(row)] == ["ours", "ours"]


@pytest.mark.parametrize(("base", "said"), [
    ("", "PUBLIC_BASE_URL is not set"), ("http://hooks.example.com", "without https"), (BASE, ""),
])  # fmt: skip
def test_a_public_address_nobody_should_call_is_warned_of(settings: Any, base: str, said: str) -> None:
    settings.PUBLIC_BASE_URL = base
    warnings = setup.warnings(party(provider="sandbox"))
    assert [said in warning for warning in warnings] == ([True] if said else [])


def test_looking_at_a_provider_that_is_away_says_so_and_changes_nothing(acme: FakeAcme) -> None:
    row = party()
    acme.faults.append(Fault(kind="drop_before"))
    (_, away), (_, missing) = setup.look(row)
    assert (away.state, away.is_temporary) == (StepState.FAILED, True)
    assert away.said.startswith("Acme did not answer.")
    assert missing.said == "not ours"
    assert acme.hooks == {}


# --- taken back


def test_removal_takes_everything_back_in_reverse(acme: FakeAcme, work_through: Work) -> None:
    row = wanted(OURS, SECOND)
    work_through()
    setup.remove(row, factories.now())
    assert set(row.sendinglist_set.values_list("status", flat=True)) == {"deleted"}
    assert steps(row) == [(SECOND, "waiting"), (OURS, "waiting"), ("account", "waiting")]
    work_through()
    assert acme.done()[3:] == [("DELETE", SECOND), ("DELETE", OURS), ("DELETE", "account")]
    assert (state(row), acme.hooks, row.configured_url) == ("removed", {}, "")
    assert row.removed_at is not None
    assert row.steps.get(key=OURS).said == "forgotten"


def test_what_was_never_begun_needs_no_taking_back(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    perform(factories.now() + timedelta(seconds=1))
    setup.remove(row, factories.now())
    work_through()
    assert acme.done() == [("PUT", "account"), ("DELETE", "account")]
    assert state(row) == "removed"
    never = party()
    setup.remove(never, factories.now())
    assert state(never) == "removed"


def test_a_step_that_a_dead_worker_began_is_taken_back_too(acme: FakeAcme, work_through: Work) -> None:
    row = wanted()
    now = factories.now() + timedelta(seconds=1)
    Configuring().claim(now, 8)
    setup.remove(row, now)
    work_through(now + LEASE)
    assert acme.done() == [("DELETE", "account")]


def test_one_step_that_cannot_be_taken_back_keeps_no_other(acme: FakeAcme, work_through: Work) -> None:
    row = wanted(OURS, SECOND)
    work_through()
    acme.faults.append(Fault(kind="instead", response=Response(status=409)))
    setup.remove(row, factories.now())
    work_through()
    assert set(acme.hooks) == {SECOND}
    assert (state(row), row.webhook_state_cause) == ("failed", "Acme answered 409. Ask Acme.")
    setup.remove(row, factories.now())
    work_through()
    assert (state(row), acme.hooks) == ("removed", {})


def test_callbacks_still_count_after_removal(acme: FakeAcme, work_through: Work, work_off: Callable[[], int]) -> None:
    row = party(provider="sandbox", settings={})
    setup.remove(row, factories.now())
    message = factories.MessageFactory(sending_list=row.sendinglist_set.get())
    assert call(token_url(row), events(report(message.reference))).status == 200
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"


# --- by hand


def by_hand(acme: FakeAcme, work_through: Work) -> ProviderAccount:
    acme.is_by_hand = True
    row = wanted()
    work_through(factories.now())
    assert state(row) == "by_hand"
    row.provider = "sandbox"
    row.save()
    return row


def test_by_hand_it_waits_and_the_first_authenticated_callback_configures_it(
    acme: FakeAcme, work_through: Work, work_off: Callable[[], int]
) -> None:
    row, other = by_hand(acme, work_through), by_hand(acme, work_through)
    assert call(token_url(row), events(report("m"))).status == 200
    work_off()
    assert (state(row), steps(row)) == ("configured", [("account", "done"), (OURS, "done")])
    assert state(other) == "by_hand"


def test_configured_by_hand_once_it_waits_again_only_for_another_url(
    acme: FakeAcme, work_through: Work, work_off: Callable[[], int]
) -> None:
    row = by_hand(acme, work_through)
    call(token_url(row), events(report("m")))
    work_off()
    assert (state(row), row.configured_url) == ("configured", callback_url(row))
    row.provider = "acme"
    row.configured_url = callback_url(row)
    row.save()
    setup.want(row, CONFIGURE, factories.now())
    work_through()
    assert (state(row), steps(row)) == ("configured", [("account", "done"), (OURS, "done")])
    setup.rotate(row, factories.now() + timedelta(hours=24), factories.now())
    work_through()
    assert state(row) == "by_hand"
    assert setup.warnings(row) == []


def test_a_callback_without_proof_configures_nothing(
    acme: FakeAcme, work_through: Work, work_off: Callable[[], int]
) -> None:
    row = by_hand(acme, work_through)
    ProviderAccount.objects.filter(pk=row.pk).update(demands_authentication=False)
    message = factories.MessageFactory(sending_list=row.sendinglist_set.get())
    waived = f"/api/webhook-feedbacks/sandbox?account={row.account.public_id}"
    named = "/api/webhook-feedbacks/sandbox"
    for target in (waived, named):
        assert call(target, events(report(message.reference))).status == 200
    assert call(f"{named}/{'a' * 26}", events(report("m"))).status == 403
    work_off()
    assert state(row) == "by_hand"


def test_a_callback_to_the_former_url_shows_nothing_about_the_new_one(
    acme: FakeAcme, work_through: Work, work_off: Callable[[], int]
) -> None:
    row = by_hand(acme, work_through)
    former = token_url(row)
    row.rotate_token(until=factories.now() + timedelta(hours=24))
    row.save()
    assert call(former, events(report("m"))).status == 200
    work_off()
    assert state(row) == "by_hand"
    ProviderAccount.objects.filter(pk=row.pk).update(previous_token_until=factories.now() - timedelta(seconds=1))
    assert call(token_url(row), events(report("m-2"))).status == 200
    work_off()
    assert state(row) == "configured"


def test_a_callback_from_before_the_wait_ends_none(
    acme: FakeAcme, work_through: Work, work_off: Callable[[], int]
) -> None:
    row = by_hand(acme, work_through)
    assert call(token_url(row), events(report("m"))).status == 200
    ProviderAccount.objects.filter(pk=row.pk).update(webhook_state_at=factories.now() + timedelta(minutes=1))
    work_off()
    assert state(row) == "by_hand"


# --- credentials


def test_checking_says_what_the_provider_says(acme: FakeAcme) -> None:
    checked = setup.check("acme", SETTINGS)
    assert (checked.said, len(checked.numbers or ())) == ("Acme knows you.", 2)
    with pytest.raises(CannotUse, match="copy it again"):
        setup.check("acme", SETTINGS | {"key": "wrong"})


def test_a_provider_that_is_away_is_no_fault_of_the_credentials(acme: FakeAcme, settings: Any) -> None:
    acme.faults.append(Fault(kind="drop_before"))
    with pytest.raises(setup.NotAsked, match="Nothing is wrong with your credentials as far as we know"):
        setup.check("acme", SETTINGS)
    settings.OUTGOING_ROUTES = {"https://api.acme.example": "http://127.0.0.1:9"}
    with pytest.raises(setup.NotAsked, match="Acme could not be reached"):
        setup.check("acme", SETTINGS)


def test_an_address_we_may_not_call_is_explained(acme: FakeAcme, settings: Any) -> None:
    settings.OUTGOING_ALLOW = []
    with pytest.raises(CannotUse, match="OUTGOING_ALLOW") as caught:
        setup.check("acme", SETTINGS | {"base_url": "https://10.0.0.1"})
    assert not isinstance(caught.value, setup.NotAsked)


def test_asked_again_its_numbers_and_its_time_are_put_down(acme: FakeAcme) -> None:
    row = party(check_cause="wrong before")
    setup.check_again(row, factories.now())
    row.refresh_from_db()
    assert [item["number"] for item in row.numbers] == [OURS, SECOND]
    assert (row.check_cause, row.checked_at is not None) == ("", True)
    row.credentials = [{"values": SETTINGS | {"key": "revoked"}, "until": None}]
    with pytest.raises(CannotUse):
        setup.check_again(row, factories.now())
    row.refresh_from_db()
    assert "does not take this key" in row.check_cause
    assert len(row.numbers) == 2
    assert KEY not in row.check_cause
