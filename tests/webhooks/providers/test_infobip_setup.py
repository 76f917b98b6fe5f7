"""Infobip, credentials and configuration: every step against the fake, from nothing, half done, changed by others, and back."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.infobip import SCOPES, FakeInfobip
from tests.fakes.infobip_shapes import NEW_PROFILE, NEW_SUBSCRIPTION, faults_in
from tests.fakes.server import Fault, Response, as_json
from tests.webhooks.providers.test_infobip_sending import BASE, CONFIG, FOREIGN, NOW, posted
from trackly.calls import Unanswered
from trackly.outgoing import hold_now
from webhooks.orders import CannotUse, Checked, Hook, Number, Outcome, StepState
from webhooks.providers.base import BadSignature
from webhooks.providers.infobip import adapter
from webhooks.statuses import Reply, Report, Status

ONE, TWO, CODE = "+18005550142", "+18005550143", "36690"
TOKEN = "token-of-callbacks"
URL = f"https://hooks.example.com/api/webhook-feedbacks/infobip/{TOKEN}"
HOOK = Hook(url=URL, name="trackly-k7pq2ab9-1", numbers=(ONE, TWO))
ELSEWHERE = "https://crm.example.org/in?key=s3cret"
NUMBER = f"number {ONE}"
CONFIGURATIONS = "/resource-management/1/inbound-message-configurations"
PROFILE, AUTH = f"{HOOK.name}-profile", f"{HOOK.name}-auth"


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeInfobip]:
    with FakeInfobip() as fake:
        settings.OUTGOING_ROUTES = {BASE: fake.url, FOREIGN: fake.url}
        fake.own("18005550142", "18005550143", CODE)
        yield fake


def all_steps(verb: str, hook: Hook = HOOK, **config: str) -> dict[str, Outcome]:
    """Every step, done, undone (the last first) or looked at."""
    steps = adapter.steps(CONFIG | config, hook)
    outcomes = {}
    for step in reversed(steps) if verb == "undo" else steps:
        outcomes[step.key] = hold_now(getattr(step, verb)())
        for secret in ("s3cret", TOKEN, "minted-secret"):
            assert secret not in repr(outcomes)
    return outcomes


def one_step(key: str, verb: str, hook: Hook = HOOK, **config: str) -> Outcome:
    [step] = [step for step in adapter.steps(CONFIG | config, hook) if step.key == key]
    outcome: Outcome = hold_now(getattr(step, verb)())
    return outcome


def states(outcomes: dict[str, Outcome]) -> set[StepState]:
    return {outcome.state for outcome in outcomes.values()}


def forward(fake: FakeInfobip, url: str, **more: Any) -> dict[str, Any]:
    """A configuration of the first number that somebody made."""
    row = {"configurationKey": f"CONF{len(fake.configurations) + 1}", "channel": "SMS", "number": ONE[1:]}
    fake.configurations[str(row["configurationKey"])] = row
    row |= {"forwarding": {"type": "HTTP_FORWARD", "url": url, "format": "MO_JSON_2"}} | more
    return row


# --- credentials


def check(**config: str) -> Checked:
    return hold_now(adapter.check(CONFIG | config))


def test_a_good_key_lists_its_numbers_and_changes_nothing(fake: FakeInfobip) -> None:
    fake.own("18005550199", capabilities=["VOICE"], note="Front desk")
    fake.own("15550100", type="WHATSAPP", capabilities=["WHATSAPP"])
    fake.own("not-a-number")
    checked = check()
    assert checked == Checked(
        said="The API key is taken. Infobip lists 4 of its numbers.",
        numbers=(
            Number(number=ONE, name="United States"),
            Number(number=TWO, name="United States"),
            Number(number=CODE, name="United States"),
            Number(number="+18005550199", name="Front desk", can_receive=False),
        ),
    )
    assert fake.writes == []


def test_numbers_are_read_page_by_page_up_to_a_thousand(fake: FakeInfobip) -> None:
    fake.numbers.clear()
    fake.own(*(f"1800555{index:04}" for index in range(250)))
    assert len(check().numbers or ()) == 250
    fake.own(*(f"1801555{index:04}" for index in range(1000)))
    checked = check()
    assert len(checked.numbers or ()) == 1000
    assert checked.warnings == ("Infobip has more numbers than the 1,000 that were read; type the others.",)


def test_the_whole_header_pasted_as_the_key_is_the_key(fake: FakeInfobip) -> None:
    assert check(api_key=" App good-key ").said.startswith("The API key is taken.")


def test_a_wrong_key_is_said_in_words(fake: FakeInfobip) -> None:
    with pytest.raises(CannotUse, match=r"The API key is not taken \(HTTP 401\): Invalid login details. Put in a key"):
        check(api_key="expired-key")


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("numbers:manage", "numbers are typed"),
        ("subscriptions:manage", "callbacks cannot be configured"),
        ("sms:manage", "cannot be asked for"),
    ],
)
def test_a_missing_scope_is_a_warning_that_names_it(fake: FakeInfobip, scope: str, words: str) -> None:
    fake.keys["good-key"] = set(SCOPES) - {scope, "sms:logs:read"}
    if scope != "sms:manage":
        fake.keys["good-key"].add("sms:manage")
    checked = check()
    [warning] = checked.warnings
    assert scope in warning
    assert words in warning
    assert (checked.numbers is None) == (scope == "numbers:manage")


def test_a_product_the_account_does_not_have_is_a_warning(fake: FakeInfobip) -> None:
    is_it = lambda seen: seen.path.startswith("/subscriptions")  # noqa: E731
    fake.faults.append(Fault(kind="instead", response=Response(status=404), where=is_it))
    [warning] = check().warnings
    assert "perhaps callbacks cannot be configured" in warning
    assert "(HTTP 404)" in warning


@pytest.mark.parametrize(("status", "error"), [(401, CannotUse), (429, Unanswered), (503, Unanswered)])
@pytest.mark.parametrize("path", ["/sms/3/logs", "/subscriptions/1/subscription/SMS"])
def test_what_goes_wrong_in_the_middle_of_a_check_ends_it(
    fake: FakeInfobip, path: str, status: int, error: type[Exception]
) -> None:
    fake.faults.append(Fault(kind="instead", response=Response(status=status), where=lambda seen: seen.path == path))
    with pytest.raises(error, match=rf"\(HTTP {status}\)"):
        check()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_infobip_says_nothing_about_the_key(fake: FakeInfobip, status: int) -> None:
    fake.faults.append(Fault(kind="instead", response=Response(status=status)))
    with pytest.raises(Unanswered, match=rf"\(HTTP {status}\)"):
        check()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"numbers": 7}', b"{}"])
def test_what_is_not_infobips_answer_is_not_taken_for_it(fake: FakeInfobip, body: bytes) -> None:
    fake.faults.append(Fault(kind="instead", response=Response(body=body)))
    with pytest.raises(CannotUse, match="not what Infobip answers"):
        check()


def test_of_a_foreign_host_check_and_steps_show_nothing(fake: FakeInfobip) -> None:
    inner = {"messageId": "CANARY", "text": "CANARY", "validationErrors": {"CANARY": ["CANARY"]}}
    shown: list[object] = []
    for status in (400, 401, 404, 409, 500):
        response = as_json({"requestError": {"serviceException": inner}}, status)
        fake.faults.append(Fault(kind="instead", response=response))
        with pytest.raises((CannotUse, Unanswered)) as refused:
            check(base_url=FOREIGN)
        shown.append(str(refused.value))
        for key in ("subscription", NUMBER):
            for verb in ("do", "look", "undo"):
                fake.faults.append(Fault(kind="instead", response=response))
                shown.append(one_step(key, verb, base_url=FOREIGN))
    fake.faults.clear()
    fake.numbers[0] |= {"note": "CANARY", "countryName": "CANARY"}
    shown.append(check(base_url=FOREIGN))
    all_steps("do", base_url=FOREIGN)
    fake.profiles[PROFILE]["webhook"]["notifyUrl"] = "https://CANARY.example"
    for row in fake.configurations.values():
        row["forwarding"]["url"] = "https://canary.example/x"
    shown += [*all_steps("look", base_url=FOREIGN).values(), *all_steps("undo", base_url=FOREIGN).values()]
    shown += all_steps("do", base_url=FOREIGN).values()
    assert len(shown) > 40
    assert "canary" not in repr(shown).lower()


# --- configuring


def test_from_nothing_everything_is_made_as_the_documents_say(fake: FakeInfobip) -> None:
    outcomes = all_steps("do")
    assert list(outcomes) == ["subscription", f"number {ONE}", f"number {TWO}"]
    assert states(outcomes) == {StepState.DONE}
    assert "2 numbers go to hooks.example.com" in outcomes["subscription"].said
    assert fake.subscriptions == {
        HOOK.name: {
            "subscriptionId": HOOK.name,
            "name": f"Trackly {HOOK.name}",
            "events": ["DELIVERY", "INBOUND_MESSAGE"],
            "resources": ["18005550142", "18005550143"],
            "profile": {"profileId": PROFILE},
        }
    }
    assert fake.profiles == {
        PROFILE: {
            "profileId": PROFILE,
            "webhook": {"notifyUrl": URL, "contentType": "application/json"},
            "security": {"authId": AUTH},
            "maxBucketSize": 100,
            "connectTimeout": 5000,
            "readTimeout": 15000,
            "enabledSSLProtocols": ["TLSv1.2", "TLSv1.3"],
        }
    }
    credentials = {"username": "trackly", "password": "minted-secret"}
    assert fake.security == {AUTH: {"authId": AUTH, "type": "BASIC", "credentials": credentials}}
    wanted = {"type": "HTTP_FORWARD", "url": URL, "format": "MO_JSON_2"}
    assert [(row["number"], row["forwarding"]) for row in fake.configurations.values()] == [
        ("18005550142", wanted),
        ("18005550143", wanted),
    ]


def test_the_second_time_nothing_is_written(fake: FakeInfobip) -> None:
    all_steps("do")
    written = list(fake.writes)
    assert states(all_steps("do")) == {StepState.DONE}
    assert states(all_steps("look")) == {StepState.DONE}
    assert fake.writes == written


def test_callbacks_come_with_the_registered_credentials_and_prove_themselves(fake: FakeInfobip) -> None:
    all_steps("do")
    url, headers, body = fake.reply("14155550101", "18005550142", "STOP")
    assert url == URL
    [reply] = adapter.parse(posted(url, headers, body))
    assert isinstance(reply, Reply)
    assert (reply.sender, reply.recipient, reply.text) == ("14155550101", "18005550142", "STOP")
    # Without the number's own forwarding the subscription is followed, and a message from elsewhere has no address of its own.
    fake.configurations.clear()
    fake._take(id="m-9", sender="18005550143", to="14155550101", text="x", url="", callback_data="", notify=True)
    for called in (fake.reply("14155550101", "18005550142", "Hi"), fake.report("m-9")):
        assert called[0] == URL
        request = posted(*called)
        adapter.verify(request, CONFIG, now=NOW)
        with pytest.raises(BadSignature):
            adapter.verify(request, CONFIG | {"basic_password": "another"}, now=NOW)
    [report] = adapter.parse(posted(*fake.report("m-9")))
    assert isinstance(report, Report)
    assert (report.status, report.sender) == (Status.DELIVERED, "18005550143")


def test_a_configured_user_name_that_is_empty_is_the_one_infobip_is_told(fake: FakeInfobip) -> None:
    all_steps("do", basic_username="")
    fake.configurations.clear()
    request = posted(*fake.reply("14155550101", "18005550142", "Hi"))
    adapter.verify(request, {"basic_password": "minted-secret"}, now=NOW)


@pytest.mark.parametrize("calls", range(9))
def test_whatever_was_half_done_is_completed(fake: FakeInfobip, calls: int) -> None:
    """The key is used up after so many calls of the first run."""
    fake.calls_left = calls
    first = all_steps("do")
    assert all(outcome.is_temporary for outcome in first.values() if outcome.state == StepState.FAILED)
    assert StepState.FAILED in states(first)
    fake.calls_left = None
    assert states(all_steps("do")) == {StepState.DONE}
    assert states(all_steps("look")) == {StepState.DONE}


@pytest.mark.parametrize("lost", range(4))
def test_a_write_whose_answer_was_lost_is_not_made_twice(fake: FakeInfobip, lost: int) -> None:
    writes = iter(range(9))
    is_it = lambda seen: seen.method == "POST" and next(writes) == lost  # noqa: E731
    fake.faults.append(Fault(kind="drop_after", where=is_it))
    with pytest.raises(Unanswered):
        all_steps("do")
    assert states(all_steps("do")) == {StepState.DONE}
    assert len(fake.writes) == 5


def test_a_profile_without_its_security_setting_gets_one(fake: FakeInfobip) -> None:
    all_steps("do")
    fake.security.clear()
    assert one_step("subscription", "look").said == "The security setting is missing at Infobip."
    outcome = one_step("subscription", "do")
    assert (outcome.state, "written: security setting" in outcome.said) == (StepState.DONE, True)
    assert fake.security[AUTH]["credentials"]["password"] == "minted-secret"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"webhook": {"notifyUrl": ELSEWHERE}}, "it calls crm.example.org, not us"),
        ({"webhook": {"notifyUrl": URL.replace(TOKEN, "old-token")}}, "it calls another address of ours"),
        ({"webhook": {"notifyUrl": URL, "contentType": "application/xml"}}, "it sends another format"),
        ({"security": {"authId": "other"}}, "it uses another security setting"),
        ({"security": None}, "it uses another security setting"),
        ({"responseRegex": "204"}, "it demands an answer of its own"),
    ],
)
def test_a_profile_that_somebody_changed_is_seen_and_put_right(
    fake: FakeInfobip, change: dict[str, Any], words: str
) -> None:
    all_steps("do")
    fake.security["other"] = fake.security[AUTH] | {"authId": "other"}
    fake.profiles[PROFILE] |= change | {"windowSize": 50, "maxBucketSize": 500}
    seen = one_step("subscription", "look")
    assert (seen.state, seen.said) == (
        StepState.FAILED, f"The notification profile at Infobip was changed: {words}.",
    )  # fmt: skip
    assert seen.fix == "Configure again."
    before = len(fake.writes)
    assert one_step("subscription", "do").state == StepState.DONE
    assert fake.writes[before:] == [("PUT", f"/subscriptions/1/profiles/{PROFILE}")]
    profile = fake.profiles[PROFILE]
    assert (profile["webhook"]["notifyUrl"], profile["security"]) == (URL, {"authId": AUTH})
    # What was tuned stays tuned; what takes our 200 for a failure does not.
    assert (profile["windowSize"], profile["maxBucketSize"]) == (50, 500)
    assert "responseRegex" not in profile


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"events": ["DELIVERY"]}, "it lacks an event"),
        ({"events": [{"event": "DELIVERY", "format": "F"}]}, "it lacks an event"),
        ({"resources": ["18005550142"]}, "it has other numbers"),
        ({"resources": []}, "it has other numbers"),
        ({"profile": {"profileId": "other"}}, "it uses another profile"),
    ],
)
def test_a_subscription_that_somebody_changed_is_seen_and_put_right(
    fake: FakeInfobip, change: dict[str, Any], words: str
) -> None:
    all_steps("do")
    fake.subscriptions[HOOK.name] |= change
    assert one_step("subscription", "look").said == f"The subscription at Infobip was changed: {words}."
    assert one_step("subscription", "do").state == StepState.DONE
    assert one_step("subscription", "look").state == StepState.DONE
    assert fake.writes[-1] == ("PUT", f"/subscriptions/1/subscription/SMS/{HOOK.name}")


def test_a_further_event_of_the_customers_is_left(fake: FakeInfobip) -> None:
    all_steps("do")
    fake.subscriptions[HOOK.name]["events"] = ["CLICK", "INBOUND_MESSAGE", "DELIVERY"]
    assert one_step("subscription", "look").state == StepState.DONE


def test_rotation_writes_the_new_password_and_nothing_else(fake: FakeInfobip) -> None:
    all_steps("do")
    before = len(fake.writes)
    assert one_step("subscription", "look", basic_password="rotated").said.endswith("it has another password.")
    assert states(all_steps("do", basic_password="rotated")) == {StepState.DONE}
    assert fake.writes[before:] == [("PUT", f"/subscriptions/1/security/{AUTH}")]
    assert fake.security[AUTH]["credentials"] == {"username": "trackly", "password": "rotated"}


def test_a_password_that_infobip_hides_is_written_to_be_sure_and_not_called_wrong(fake: FakeInfobip) -> None:
    fake.hides_passwords = True
    all_steps("do")
    assert one_step("subscription", "look", basic_password="rotated").state == StepState.DONE
    assert one_step("subscription", "do", basic_password="rotated").state == StepState.DONE
    assert fake.security[AUTH]["credentials"]["password"] == "rotated"


def test_a_new_callback_token_reaches_every_part(fake: FakeInfobip) -> None:
    all_steps("do")
    moved = Hook(url=URL.replace(TOKEN, "new"), name=HOOK.name, numbers=HOOK.numbers)
    outcomes = all_steps("do", moved)
    assert fake.profiles[PROFILE]["webhook"]["notifyUrl"] == moved.url
    assert {row["forwarding"]["url"] for row in fake.configurations.values()} == {moved.url}
    assert outcomes["subscription"].state == StepState.DONE


def test_without_a_password_the_token_alone_proves_and_no_security_is_made(fake: FakeInfobip) -> None:
    assert states(all_steps("do", basic_password="")) == {StepState.DONE}
    assert states(all_steps("look", basic_password="")) == {StepState.DONE}
    assert fake.security == {}
    assert states(all_steps("undo", basic_password="")) == {StepState.DONE}


def test_without_numbers_no_subscription_takes_the_callbacks_of_every_sender(fake: FakeInfobip) -> None:
    outcomes = all_steps("do", Hook(url=URL, name=HOOK.name, numbers=()))
    assert list(outcomes) == ["subscription"]
    # A step that stays WAITING is begun again at once, for ever.
    assert outcomes["subscription"].state == StepState.WARNING
    assert "Waits for the first list" in outcomes["subscription"].said
    assert fake.requests == []


def test_more_numbers_than_a_subscription_holds_are_said(fake: FakeInfobip) -> None:
    numbers = tuple(f"+1800555{index:04}" for index in range(300))
    hook = Hook(url=URL, name=HOOK.name, numbers=numbers)
    outcome = one_step("subscription", "do", hook)
    assert outcome.state == StepState.WARNING
    assert "the other 45 numbers are not in it" in outcome.said
    assert len(fake.subscriptions[HOOK.name]["resources"]) == 255
    assert one_step("subscription", "look", hook).state == StepState.DONE


# --- each number


def test_replies_that_went_elsewhere_are_said_by_host_and_replaced(fake: FakeInfobip) -> None:
    row = forward(fake, ELSEWHERE, autoResponse={"message": "Thanks"})
    assert one_step(NUMBER, "look").said == f"Replies to {ONE} go to crm.example.org, not to us."
    outcome = one_step(NUMBER, "do")
    assert outcome.state == StepState.WARNING
    assert "Until now they went to crm.example.org" in outcome.said
    assert "s3cret" not in repr(outcome)
    assert (row["forwarding"]["url"], row["autoResponse"]) == (URL, {"message": "Thanks"})
    assert one_step(NUMBER, "do").state == StepState.DONE


def test_keywords_that_go_elsewhere_are_said_and_left(fake: FakeInfobip) -> None:
    row = forward(fake, ELSEWHERE, keyword="JOIN")
    outcome = one_step(NUMBER, "do")
    assert outcome.state == StepState.WARNING
    assert "Texts with 1 keyword(s) go elsewhere" in outcome.said
    assert row["forwarding"]["url"] == ELSEWHERE
    assert len(fake.configurations) == 2
    assert one_step(NUMBER, "look").state == StepState.WARNING


def test_a_short_code_is_named_by_its_key(fake: FakeInfobip) -> None:
    hook = Hook(url=URL, name=HOOK.name, numbers=(CODE,))
    assert states(all_steps("do", hook)) == {StepState.DONE}
    assert fake.requests[-1].json()["numberKey"] == f"KEY{CODE}"
    assert states(all_steps("undo", hook)) == {StepState.DONE}
    assert fake.configurations == {}


def test_a_number_of_another_account_is_said(fake: FakeInfobip) -> None:
    hook = Hook(url=URL, name=HOOK.name, numbers=("+19995550100",))
    outcome = one_step("number +19995550100", "do", hook)
    assert (outcome.state, outcome.said) == (
        StepState.FAILED, "Infobip has no number +19995550100 in this account.",
    )  # fmt: skip


# --- taking back


def test_what_was_made_is_taken_back_and_nothing_stays(fake: FakeInfobip) -> None:
    all_steps("do")
    outcomes = all_steps("undo")
    assert states(outcomes) == {StepState.DONE}
    assert (fake.subscriptions, fake.profiles, fake.security, fake.configurations) == ({}, {}, {}, {})
    assert states(all_steps("undo")) == {StepState.DONE}


@pytest.mark.parametrize("calls", range(8))
def test_taking_back_goes_on_where_it_was_interrupted(fake: FakeInfobip, calls: int) -> None:
    all_steps("do")
    fake.calls_left = calls
    assert StepState.FAILED in states(all_steps("undo"))
    fake.calls_left = None
    assert states(all_steps("undo")) == {StepState.DONE}
    assert (fake.subscriptions, fake.profiles, fake.security, fake.configurations) == ({}, {}, {}, {})


@pytest.mark.parametrize(
    ("url", "state", "words"),
    [
        (ELSEWHERE, StepState.DONE, "go to crm.example.org by now"),
        # Perhaps another provider account's here: its replies would be lost.
        (URL.replace(TOKEN, "other-token"), StepState.WARNING, "come to another address of ours"),
    ],
)
def test_a_forwarding_that_somebody_else_set_since_is_left(
    fake: FakeInfobip, url: str, state: StepState, words: str
) -> None:
    row = forward(fake, url)
    outcome = one_step(NUMBER, "undo")
    assert (outcome.state, words in outcome.said) == (state, True)
    assert row["forwarding"]["url"] == url


def test_a_forwarding_that_went_away_meanwhile_is_taken_back(fake: FakeInfobip) -> None:
    all_steps("do")
    gone = Response(status=404)
    fake.faults.append(Fault(kind="instead", response=gone, where=lambda seen: seen.method == "DELETE"))
    assert one_step(NUMBER, "undo").state == StepState.DONE


def test_other_actions_of_a_configuration_outlive_our_forwarding(fake: FakeInfobip) -> None:
    row = forward(fake, URL, autoResponse={"message": "Thanks"})
    assert one_step(NUMBER, "undo").state == StepState.DONE
    assert (row.get("forwarding"), row["autoResponse"]) == (None, {"message": "Thanks"})


def test_a_subscription_that_somebody_turned_elsewhere_is_left(fake: FakeInfobip) -> None:
    all_steps("do")
    fake.profiles[PROFILE]["webhook"]["notifyUrl"] = ELSEWHERE
    outcome = one_step("subscription", "undo")
    assert (outcome.state, "crm.example.org" in outcome.said) == (StepState.WARNING, True)
    assert HOOK.name in fake.subscriptions


def test_a_profile_that_something_else_uses_is_left_and_said(fake: FakeInfobip) -> None:
    all_steps("do")
    fake.subscriptions["theirs"] = {"subscriptionId": "theirs", "profile": {"profileId": PROFILE}}
    outcome = one_step("subscription", "undo")
    assert outcome.state == StepState.WARNING
    assert outcome.said == ("Infobip keeps the notification profile and the security setting: something else uses it.")
    assert list(fake.subscriptions) == ["theirs"]


# --- refusals


@pytest.mark.parametrize("verb", ["do", "look", "undo"])
@pytest.mark.parametrize(("key", "scope"), [("subscription", "subscriptions:manage"), (NUMBER, "numbers:manage")])
def test_a_missing_scope_fails_the_step_and_is_named(fake: FakeInfobip, key: str, scope: str, verb: str) -> None:
    fake.keys["good-key"] = {"sms:manage"}
    outcome = one_step(key, verb)
    assert outcome.state == StepState.FAILED
    assert outcome.said == "The API key may not do this (HTTP 403): Forbidden."
    assert scope in outcome.fix
    assert not outcome.is_temporary


@pytest.mark.parametrize("key", ["subscription", NUMBER])
@pytest.mark.parametrize(
    ("status", "is_temporary"), [(401, False), (400, False), (429, True), (500, True), (200, False)]
)
def test_a_refusal_is_said_and_temporary_only_when_waiting_helps(
    fake: FakeInfobip, key: str, status: int, is_temporary: bool
) -> None:
    fake.faults.append(Fault(kind="instead", response=Response(status=status, body=b"?")))
    outcome = one_step(key, "do")
    assert (outcome.state, outcome.is_temporary) == (StepState.FAILED, is_temporary)
    assert f"(HTTP {status})" in outcome.said
    assert outcome.fix


def test_a_refusal_that_repeats_our_address_does_not_show_its_token(fake: FakeInfobip) -> None:
    inner = {"messageId": "BAD_REQUEST", "text": f"{URL} is bad, /infobip/{TOKEN} too, minted-secret"}
    fake.faults.append(
        Fault(
            kind="instead",
            response=as_json({"requestError": {"serviceException": inner}}, 400),
            where=lambda seen: seen.method == "POST",
        )
    )
    outcome = one_step(NUMBER, "do")
    assert "hooks.example.com is bad" in outcome.said
    assert TOKEN not in outcome.said
    assert "minted-secret" not in outcome.said


def test_only_documented_names_and_values_are_sent(fake: FakeInfobip) -> None:
    """The fake refuses anything else, with 400; so every write above was sound. Here it is shown to refuse."""
    all_steps("do")
    bodies = [seen.json() for seen in fake.requests if seen.body]
    assert len(bodies) == 5
    assert list(
        faults_in({"subscriptionId": "a", "events": ["READ"], "profile": {"profileId": "p"}}, NEW_SUBSCRIPTION)
    ) == [("events[0]", "is not one of DELIVERY, INBOUND_MESSAGE, CLICK")]
    faults = list(faults_in({"profileId": "p", "readTimeout": 5, "webhook": {}}, NEW_PROFILE))
    assert faults == [("readTimeout", "must be between 1000 and 90000"), ("webhook.notifyUrl", "must not be blank")]
