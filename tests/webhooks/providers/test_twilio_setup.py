"""Twilio, credentials and configuration: every step and every way it goes wrong, and the fake proven by Twilio's own SDK."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response as SdkResponse
from twilio.rest import Client

from tests import samples
from tests.fakes.server import Fault, Response, as_json
from tests.fakes.twilio import ACCOUNT, API, MESSAGING, TOKEN, Credentials, FakeTwilio
from trackly.calls import Unanswered
from trackly.outgoing import hold_now
from webhooks.orders import CannotUse, Checked, Hook, Number, Outcome, StepState
from webhooks.providers.twilio import adapter
from webhooks.statuses import Reply

OURS, SECOND, CODE = "+18005550142", "+18005550143", "36690"
URL = "https://hooks.example.com/api/webhook-feedbacks/twilio?account=k7Pq2ab9"
SET = f"{URL}#rc=3&rp=ct,rt,5xx"
FOREIGN = "https://crm.example.org/in?key=s3cret"
CONFIG = {"account_sid": ACCOUNT, "auth_token": TOKEN}


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        settings.OUTGOING_ROUTES = {API: fake.url, MESSAGING: fake.url}
        yield fake


@pytest.fixture
def number(fake: FakeTwilio) -> str:
    return fake.add_number(OURS)


def check(**config: str) -> Checked:
    return hold_now(adapter.check(CONFIG | config))


def cause(**config: str) -> str:
    with pytest.raises(CannotUse) as refused:
        check(**config)
    return str(refused.value)


def run(verb: str, *numbers: str, url: str = URL, **config: str) -> Outcome:
    """The outcome of do, undo or look of the only step."""
    hook = Hook(url=url, name="trackly", numbers=numbers or (OURS,))
    [step] = adapter.steps(CONFIG | config, hook)
    outcome: Outcome = hold_now(getattr(step, verb)())
    assert "s3cret" not in outcome.said + outcome.fix
    return outcome


# --- Credentials


def test_good_credentials_bring_the_account_and_its_numbers(fake: FakeTwilio) -> None:
    fake.add_number(OURS, friendly_name="Autumn line")
    fake.add_number(SECOND, friendly_name=SECOND, capabilities={"voice": True, "sms": False})
    fake.add_short_code(CODE)
    assert check() == Checked(
        said="Account Trackly is active, 3 numbers.",
        numbers=(
            Number(number=OURS, name="Autumn line"),
            Number(number=SECOND, can_receive=False),
            Number(number=CODE),
        ),
    )
    assert not fake.writes()


def test_numbers_are_paged_through_up_to_a_thousand(fake: FakeTwilio) -> None:
    fake.page_limit = 100
    for line in range(1050):
        fake.add_number(f"+1800555{line:04}")
    numbers = check().numbers
    assert numbers is not None
    assert len({number.number for number in numbers}) == 1000


@pytest.mark.parametrize(
    "following", ["https://evil.example.com/more", "//evil.example.com/more", "@evil.example.com/"]
)
def test_a_next_page_never_leads_our_credentials_to_another_host(fake: FakeTwilio, following: str) -> None:
    page = {"incoming_phone_numbers": [{"sid": "PN1", "phone_number": OURS}], "next_page_uri": following}
    instead = Fault(
        kind="instead",
        response=as_json(page | {"meta": {"next_page_url": following}}),
        where=lambda seen: "Incoming" in seen.path,
    )
    fake.faults.append(instead)
    # The second keeps to Twilio's host and is not found there; the others are not followed.
    if following.startswith("//"):
        assert "code 20404" in cause()
    else:
        assert check().numbers == (Number(number=OURS),)


def test_a_wrong_token_is_said(fake: FakeTwilio) -> None:
    said = cause(auth_token="wrong")
    assert said.startswith(
        "The Auth Token is wrong: Twilio does not take it for this Account SID, and it alone verifies"
    )
    assert said.endswith("(HTTP 401, code 20003: Authenticate)")
    assert "The Auth Token is wrong" in cause(account_sid="AC" + "f" * 32)


def test_which_of_token_and_key_is_wrong_is_said(fake: FakeTwilio) -> None:
    key = fake.sid("SK")
    fake.keys[key] = ("key-secret", "Standard")
    right, wrong = {"api_key_sid": key, "api_key_secret": "key-secret"}, {"api_key_sid": key, "api_key_secret": "x"}
    assert check(**right).said == "Account Trackly is active, 0 numbers."
    assert cause(auth_token="wrong", **right).startswith("The API key is right, the Auth Token is wrong")
    assert cause(**wrong).startswith("The Auth Token is right, the API key is wrong")
    assert cause(auth_token="wrong", **wrong).startswith("Twilio takes neither the Auth Token nor the API key")
    assert cause(api_key_sid=key).startswith("An API key is a pair")
    assert cause(api_key_secret="key-secret").startswith("An API key is a pair")


def test_a_key_that_may_only_send_is_explained(fake: FakeTwilio) -> None:
    key = fake.sid("SK")
    fake.keys[key] = ("key-secret", "Restricted")
    assert "or it is a restricted one" in cause(api_key_sid=key, api_key_secret="key-secret")


@pytest.mark.parametrize(
    ("status", "said"), [("suspended", "has suspended this account"), ("closed", "neither suspended nor closed")]
)
def test_an_account_that_is_not_active_cannot_be_used(fake: FakeTwilio, status: str, said: str) -> None:
    fake.accounts[ACCOUNT] = Credentials(status=status)
    assert said in cause()


def test_an_account_of_a_state_nobody_knows_cannot_be_used(fake: FakeTwilio) -> None:
    for body, said in (({"sid": ACCOUNT}, "nothing that can be read"), ({"status": "closed"}, "is closed")):
        fake.faults.append(Fault(kind="instead", response=as_json(body)))
        assert said in cause()


def test_test_credentials_are_taken_with_a_warning(fake: FakeTwilio) -> None:
    fake.accounts[ACCOUNT] = Credentials(kind="test")
    checked = check()
    assert checked.numbers is None
    assert "nothing is delivered" in checked.warnings[0]
    outcome = run("do")
    assert (outcome.state, outcome.fix) == (StepState.FAILED, "Enter the live Account SID and Auth Token.")


def test_a_trial_account_and_an_account_without_numbers_are_warned_of(fake: FakeTwilio) -> None:
    fake.accounts[ACCOUNT] = Credentials(kind="Trial")
    first, second = check().warnings
    assert "verified numbers only" in first
    assert "has no number" in second


def test_the_secondary_token_is_warned_of_because_it_does_not_sign(fake: FakeTwilio, number: str) -> None:
    fake.accounts[ACCOUNT] = Credentials(shows="0123456789abcdef" * 2)
    [warning] = check().warnings
    assert "not the primary one" in warning


def test_a_subaccount_is_called_one(fake: FakeTwilio) -> None:
    account = {"sid": ACCOUNT, "owner_account_sid": "AC" + "1" * 32, "friendly_name": "East", "status": "active"}
    fake.faults.append(Fault(kind="instead", response=as_json(account)))
    assert check().said == "Subaccount East is active, 0 numbers."


@pytest.mark.parametrize("where", ["/Accounts/AC", "IncomingPhoneNumbers"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_twilio_says_nothing_about_the_credentials(fake: FakeTwilio, where: str, status: int) -> None:
    fake.faults.append(Fault(kind="instead", response=Response(status=status), where=lambda seen: where in seen.path))
    with pytest.raises(Unanswered):
        check()
    fake.is_limited = True
    with pytest.raises(Unanswered, match="20429"):
        check()


def test_with_a_messaging_service_the_numbers_are_its_own(fake: FakeTwilio, number: str) -> None:
    fake.add_number(SECOND)
    service = fake.add_service(number, fake.add_short_code(CODE))
    assert check(messaging_service_sid=service).numbers == (Number(number=OURS), Number(number=CODE))
    assert "has no number" in check(messaging_service_sid=fake.add_service()).warnings[0]
    assert "no Messaging Service of this SID" in cause(messaging_service_sid=fake.sid("MG"))


# --- A number of its own


def test_a_number_is_configured_and_a_second_time_nothing_is_written(fake: FakeTwilio, number: str) -> None:
    assert run("look") == Outcome(state=StepState.FAILED, said="Its SMS URL is empty.", fix="Configure again.")
    assert run("do") == Outcome(state=StepState.DONE, said="Its replies come here now.")
    assert (fake.numbers[number]["sms_url"], fake.numbers[number]["sms_method"]) == (SET, "POST")
    assert run("do") == Outcome(state=StepState.DONE, said="Its replies come here already.")
    assert run("look") == Outcome(state=StepState.DONE, said="Its replies come here.")
    [written] = fake.writes()
    assert written.form() == {"SmsUrl": SET, "SmsMethod": "POST"}


def test_the_filter_finds_parts_of_numbers_and_only_the_whole_one_is_changed(fake: FakeTwilio) -> None:
    other, own = fake.add_number(f"{OURS}7"), fake.add_number(OURS)
    run("do")
    assert (fake.numbers[other]["sms_url"], fake.numbers[own]["sms_url"]) == ("", SET)


def test_each_number_is_a_step_of_its_own(fake: FakeTwilio) -> None:
    steps = adapter.steps(CONFIG, Hook(url=URL, name="trackly", numbers=(OURS, CODE)))
    assert [step.key for step in steps] == [f"number {OURS}", f"number {CODE}"]
    assert adapter.steps(CONFIG, Hook(url=URL, name="trackly", numbers=())) == ()
    assert not fake.requests


def test_a_foreign_url_is_replaced_with_a_warning_that_names_its_host_only(fake: FakeTwilio, number: str) -> None:
    fake.numbers[number]["sms_url"] = FOREIGN
    assert run("look").said == "Its SMS URL leads to crm.example.org."
    outcome = run("do")
    assert outcome.state == StepState.WARNING
    assert "led to crm.example.org and was replaced" in outcome.said
    assert fake.numbers[number]["sms_url"] == SET
    assert run("do").state == StepState.DONE


@pytest.mark.parametrize(
    ("url", "method", "said"),
    [
        (URL, "POST", "leads here with other settings."),
        (URL, "GET", "leads here with other settings, and its method is not POST."),
        (SET, "GET", "leads here, and its method is not POST."),
    ],
)
def test_our_own_url_of_another_day_is_replaced_without_a_warning(
    fake: FakeTwilio, number: str, url: str, method: str, said: str
) -> None:
    fake.numbers[number] |= {"sms_url": url, "sms_method": method}
    assert run("look").said == f"Its SMS URL {said}"
    assert run("do").state == StepState.DONE
    assert (fake.numbers[number]["sms_url"], fake.numbers[number]["sms_method"]) == (SET, "POST")


def test_the_url_of_another_account_here_is_not_ours(fake: FakeTwilio, number: str) -> None:
    fake.numbers[number]["sms_url"] = theirs = SET.replace("k7Pq2ab9", "another1")
    assert "Left as it was" in run("undo").said
    assert fake.numbers[number]["sms_url"] == theirs
    assert run("do").state == StepState.WARNING


def test_an_application_that_overrides_is_warned_of_every_time(fake: FakeTwilio, number: str) -> None:
    fake.numbers[number]["sms_application_sid"] = application = fake.sid("AP")
    for verb in ("do", "do", "look"):
        outcome = run(verb)
        assert outcome.state == StepState.WARNING
        assert application in outcome.said
        assert "instead of 'TwiML App'" in outcome.fix
    assert len(fake.writes()) == 1


def test_a_service_that_overrides_is_warned_of_and_one_that_defers_is_not(fake: FakeTwilio, number: str) -> None:
    fake.add_service()
    service = fake.add_service(number, use_inbound_webhook_on_number=False)
    for verb in ("do", "look"):
        outcome = run(verb)
        assert outcome.state == StepState.WARNING
        assert "Messaging Service Autumn" in outcome.said
        assert f"Enter {service}" in outcome.fix
    fake.services[service]["inbound_request_url"] = SET
    assert run("do").state == StepState.DONE
    fake.services[service] |= {"inbound_request_url": FOREIGN, "use_inbound_webhook_on_number": True}
    assert run("look").state == StepState.DONE


def test_services_that_may_not_be_read_do_not_fail_the_number(fake: FakeTwilio, number: str) -> None:
    fake.faults.append(Fault(kind="instead", response=Response(status=403), where=lambda seen: "/v1/" in seen.path))
    assert run("do") == Outcome(state=StepState.DONE, said="Its replies come here now.")


def test_a_number_of_another_account_is_said_to_be_missing(fake: FakeTwilio) -> None:
    fake.add_number(SECOND)
    for verb in ("do", "look"):
        outcome = run(verb)
        assert outcome.state == StepState.FAILED
        assert outcome.said == f"{OURS} is not a number of this Twilio account."
        assert outcome.fix
    assert run("undo").state == StepState.DONE
    assert not fake.writes()


def test_a_number_is_taken_back_once_and_only_while_it_is_ours(fake: FakeTwilio, number: str) -> None:
    run("do")
    assert run("undo").said.startswith("Its SMS URL was taken out")
    assert fake.numbers[number]["sms_url"] == ""
    assert run("undo") == Outcome(state=StepState.DONE, said="Left as it was: its SMS URL is empty.")
    fake.numbers[number]["sms_url"] = FOREIGN
    assert run("undo").said == "Left as it was: its SMS URL leads to crm.example.org."
    assert fake.numbers[number]["sms_url"] == FOREIGN
    assert len(fake.writes()) == 2


def test_a_short_code_is_configured_looked_at_and_taken_back(fake: FakeTwilio) -> None:
    fake.add_short_code(f"{CODE}1")
    code = fake.add_short_code(CODE)
    assert run("do", CODE).state == run("look", CODE).state == StepState.DONE
    assert fake.short_codes[code]["sms_url"] == SET
    assert run("undo", CODE).state == StepState.DONE
    assert fake.short_codes[code]["sms_url"] == ""
    assert run("do", "99999").state == StepState.FAILED


@pytest.mark.parametrize(
    "url", ["http://[", "nonsense", "https://hooks.example.com", "//", "https://a:b@crm.example.org/s3cret"]
)
def test_any_url_that_stands_there_can_be_spoken_of(fake: FakeTwilio, number: str, url: str) -> None:
    fake.numbers[number]["sms_url"] = url
    assert "a:b" not in run("look").said
    assert run("undo").state == StepState.DONE
    assert run("do").state == StepState.WARNING


@pytest.mark.parametrize("verb", ["do", "undo", "look"])
@pytest.mark.parametrize(
    ("response", "is_temporary"),
    [
        (Response(status=429), True),
        (Response(status=500), True),
        (Response(status=503), True),
        (Response(status=401), False),
        (Response(status=403), False),
        (Response(status=404), False),
        (Response(status=200, body=b"<html>"), False),
        (as_json({"code": 20003, "message": "Authenticate", "status": 401}, 401), False),
        (as_json({"type": "x", "title": "Slow", "status": 429, "code": 20429}, 429), True),
    ],
)
@pytest.mark.parametrize("uses_service", [False, True])
def test_a_refusal_is_an_outcome_in_words(
    fake: FakeTwilio, number: str, verb: str, response: Response, is_temporary: bool, uses_service: bool
) -> None:
    service = {"messaging_service_sid": fake.add_service(number)} if uses_service else {}
    fake.faults.append(Fault(kind="instead", response=response))
    outcome = run(verb, **service)
    assert (outcome.state, outcome.is_temporary) == (StepState.FAILED, is_temporary)
    assert str(response.status) in outcome.said


def test_a_write_that_fails_is_not_called_done(fake: FakeTwilio, number: str) -> None:
    service = {"messaging_service_sid": fake.add_service(number)}
    for config in ({}, service):
        fake.faults.append(Fault(kind="instead", where=lambda seen: seen.method == "POST"))
        assert run("do", **config).state == StepState.FAILED
        assert run("do", **config).state == StepState.DONE


def test_steps_are_done_by_the_api_key_where_there_is_one(fake: FakeTwilio, number: str) -> None:
    key = fake.sid("SK")
    fake.keys[key] = ("key-secret", "Standard")
    outcome = run("do", auth_token="stale", api_key_sid=key, api_key_secret="key-secret")
    assert outcome.state == StepState.DONE


# --- A Messaging Service


def test_a_service_is_configured_and_a_second_time_nothing_is_written(fake: FakeTwilio, number: str) -> None:
    service = fake.add_service(number)
    config = {"messaging_service_sid": service}
    [step] = adapter.steps(CONFIG | config, Hook(url=URL, name="trackly", numbers=(OURS,)))
    assert step.key == "messaging service"
    assert run("look", **config).state == StepState.FAILED
    done = Outcome(state=StepState.DONE, said="Reports and replies of the service come here now.")
    assert run("do", **config) == done
    row = fake.services[service]
    assert (row["status_callback"], row["inbound_request_url"]) == (SET, SET)
    assert (row["inbound_method"], row["use_inbound_webhook_on_number"]) == ("POST", False)
    assert run("do", **config).said == "Reports and replies of the service come here already."
    assert run("look", **config) == Outcome(state=StepState.DONE, said="Reports and replies of the service come here.")
    assert len(fake.writes()) == 1
    assert fake.numbers[number]["sms_url"] == ""


@pytest.mark.parametrize(
    ("half", "said"),
    [
        ({"inbound_request_url": FOREIGN}, "its inbound request url leads to crm.example.org"),
        ({"status_callback": None}, "its status callback is empty"),
        ({"inbound_method": "GET"}, "its inbound method is not POST"),
        ({"use_inbound_webhook_on_number": True}, "it leaves replies to the webhook of each number"),
    ],
)
def test_a_half_configured_service_is_seen_and_mended(
    fake: FakeTwilio, number: str, half: dict[str, Any], said: str
) -> None:
    service = fake.add_service(number)
    config = {"messaging_service_sid": service}
    run("do", **config)
    fake.services[service] |= half
    assert said in run("look", **config).said
    outcome = run("do", **config)
    assert outcome.state == (StepState.WARNING if FOREIGN in half.values() else StepState.DONE)
    assert run("look", **config).state == StepState.DONE


def test_foreign_urls_of_a_service_are_replaced_with_a_warning(fake: FakeTwilio, number: str) -> None:
    service = fake.add_service(number, status_callback=FOREIGN, inbound_request_url="https://other.example.net/")
    outcome = run("do", messaging_service_sid=service)
    assert outcome.state == StepState.WARNING
    assert "Its status callback led to crm.example.org" in outcome.said
    assert "Its inbound request URL led to other.example.net" in outcome.said


def test_a_lists_number_that_is_not_in_the_service_is_warned_of(fake: FakeTwilio, number: str) -> None:
    fake.add_number(SECOND)
    config = {"messaging_service_sid": fake.add_service(number, fake.add_short_code(CODE))}
    assert run("do", OURS, CODE, **config).state == StepState.DONE
    for verb in ("do", "look"):
        outcome = run(verb, OURS, SECOND, CODE, **config)
        assert outcome.state == StepState.WARNING
        assert f"Not among the service's senders: {SECOND}." in outcome.said
    many = [f"+1800555{line:04}" for line in range(40)]
    outcome = run("do", *many, **config)
    assert "and 35 more" in outcome.said
    assert len(outcome.said) < 1000


def test_a_service_is_taken_back_once_and_what_others_set_stays(fake: FakeTwilio, number: str) -> None:
    service = fake.add_service(number)
    config = {"messaging_service_sid": service}
    run("do", **config)
    fake.services[service]["status_callback"] = FOREIGN
    outcome = run("undo", **config)
    assert outcome.state == StepState.DONE
    assert "Left as it was: its status callback leads to crm.example.org" in outcome.said
    assert fake.services[service]["status_callback"] == FOREIGN
    assert fake.services[service]["inbound_request_url"] is None
    assert run("undo", **config).said.startswith("Nothing of ours stood there.")
    assert len(fake.writes()) == 2


def test_a_service_that_is_gone_fails_for_good(fake: FakeTwilio) -> None:
    outcome = run("do", messaging_service_sid=fake.sid("MG"))
    assert (outcome.state, outcome.is_temporary) == (StepState.FAILED, False)
    assert "code 20404" in outcome.said


# --- What then comes


@pytest.mark.parametrize("uses_service", [False, True])
def test_a_reply_to_a_configured_number_comes_signed_to_the_url_given(
    fake: FakeTwilio, number: str, uses_service: bool
) -> None:
    with pytest.raises(LookupError):
        fake.reply("+14155550101", OURS, "STOP")
    run("do", **({"messaging_service_sid": fake.add_service(number)} if uses_service else {}))
    url, headers, body = fake.reply("+14155550101", OURS, "STOP", opt_out_type="STOP")
    assert url == URL
    named = tuple((name.lower(), value) for name, value in headers.items())
    parts = urlsplit(url)
    request = samples.load("twilio/status_sent", path=parts.path, query=parts.query, headers=named, body=body)
    adapter.verify(request, CONFIG, now=samples.RECEIVED_AT)
    [reply] = adapter.parse(request)
    assert isinstance(reply, Reply)
    assert (reply.sender, reply.recipient, reply.text, reply.decision) == ("+14155550101", OURS, "STOP", "opt_out")


# --- The fake, by the official SDK


class Routed(TwilioHttpClient):
    """The SDK's own client; only scheme and host are other ones."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def request(self, method: str, url: str, *args: Any, **named: Any) -> SdkResponse:
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" in (API, MESSAGING)
        return super().request(method, url.replace(f"{parts.scheme}://{parts.netloc}", self.target, 1), *args, **named)


@pytest.fixture
def sdk(fake: FakeTwilio) -> Iterator[Client]:
    http = Routed(fake.url)
    yield Client(ACCOUNT, TOKEN, http_client=http)
    http.session.close()


def test_the_sdk_sends_and_fetches_a_message(fake: FakeTwilio, sdk: Client, number: str) -> None:
    sent = sdk.messages.create(to="+14155550101", from_=OURS, body="Hello", status_callback=SET)
    assert (sent.status, sent.num_segments, sent.price, sent.from_) == ("queued", "1", None, OURS)
    url, _, body = fake.report(sent.sid, "undelivered", "30003")
    assert (url, b"ErrorCode=30003" in body) == (URL, True)
    fetched = sdk.messages(sent.sid).fetch()
    assert (fetched.status, fetched.error_code, fetched.date_updated.year) == ("undelivered", 30003, 2026)
    service = fake.add_service(number, status_callback=SET)
    through = sdk.messages.create(to="+14155550101", messaging_service_sid=service, body="Hello")
    assert (through.status, through.from_, through.messaging_service_sid) == ("accepted", None, service)
    assert fake.report(through.sid, "sent")[0] == URL
    assert len(sdk.messages.list()) == 2


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"to": "+1415"}, 400, 21211),
        ({"to": "+14155550177"}, 400, 21610),
        ({"from_": "+18005550199"}, 400, 21606),
        ({"body": ""}, 400, 21602),
        ({"body": "x" * 1601}, 400, 21617),
        ({"status_callback": "https://my_host.example.com/"}, 400, 21609),
    ],
)
def test_the_sdk_reads_the_fakes_errors_in_both_shapes(
    fake: FakeTwilio, sdk: Client, number: str, changes: dict[str, str], status: int, code: int
) -> None:
    fake.opted_out.add("+14155550177")
    fields = {"to": "+14155550101", "from_": OURS, "body": "Hello"} | changes
    with pytest.raises(TwilioRestException) as old:
        sdk.messages.create(**fields)
    fake.is_problem_json = True
    with pytest.raises(TwilioServiceException) as new:
        sdk.messages.create(**fields)
    assert (old.value.status, old.value.code) == (new.value.status, new.value.code) == (status, code)


def test_the_sdk_is_refused_by_a_wrong_token_a_missing_thing_and_the_limit(fake: FakeTwilio) -> None:
    http = Routed(fake.url)
    found = []
    for token, limited in (("wrong", False), (TOKEN, False), (TOKEN, True)):
        fake.is_limited = limited
        with pytest.raises(TwilioRestException) as error:
            Client(ACCOUNT, token, http_client=http).messages("SM" + "e" * 32).fetch()
        found.append((error.value.status, error.value.code))
    assert found == [(401, 20003), (404, 20404), (429, 20429)]
    http.session.close()


def test_the_sdk_sees_what_our_steps_configured_and_configures_what_we_see(
    fake: FakeTwilio, sdk: Client, number: str
) -> None:
    service, code = fake.add_service(number), fake.add_short_code(CODE)
    sdk.incoming_phone_numbers(number).update(sms_url=SET, sms_method="POST")
    assert run("look").state == StepState.DONE
    run("do", CODE)
    assert sdk.short_codes(code).fetch().sms_url == SET
    assert [row.short_code for row in sdk.short_codes.list(short_code=CODE)] == [CODE]
    sdk.messaging.v1.services(service).update(
        status_callback=SET, inbound_request_url=SET, inbound_method="POST", use_inbound_webhook_on_number=False
    )
    assert run("look", messaging_service_sid=service).state == StepState.DONE
    run("undo", messaging_service_sid=service)
    fetched = sdk.messaging.v1.services(service).fetch()
    assert (fetched.inbound_request_url, fetched.use_inbound_webhook_on_number) == (None, False)
    assert [row.phone_number for row in sdk.messaging.v1.services(service).phone_numbers.list()] == [OURS]
    assert sdk.api.accounts(ACCOUNT).fetch().status == "active"


def test_the_sdk_pages_through_both_kinds_of_lists(fake: FakeTwilio, sdk: Client) -> None:
    fake.page_limit = 7
    numbers = [fake.add_number(f"+180055501{line:02}") for line in range(20)]
    service = fake.add_service(*numbers)
    assert [row.sid for row in sdk.incoming_phone_numbers.list()] == numbers
    assert [row.sid for row in sdk.messaging.v1.services(service).phone_numbers.list()] == numbers
    assert [row.sid for row in sdk.incoming_phone_numbers.list(phone_number="+18005550105")] == [numbers[5]]
    assert len(check().numbers or ()) == len(check(messaging_service_sid=service).numbers or ()) == 20


def test_an_api_key_of_the_sdk_may_do_what_its_kind_may(fake: FakeTwilio, number: str) -> None:
    key, http = fake.sid("SK"), Routed(fake.url)
    fake.keys[key] = ("key-secret", "Standard")
    sdk = Client(key, "key-secret", ACCOUNT, http_client=http)
    assert sdk.messages.create(to="+14155550101", from_=OURS, body="Hello").status == "queued"
    with pytest.raises(TwilioRestException, match="Authenticate"):
        sdk.api.accounts(ACCOUNT).fetch()
    http.session.close()


def test_reports_of_a_service_without_an_url_go_nowhere(fake: FakeTwilio, sdk: Client, number: str) -> None:
    sent = sdk.messages.create(to="+14155550101", messaging_service_sid=fake.add_service(number), body="Hello")
    with pytest.raises(LookupError):
        fake.report(sent.sid, "delivered")


def test_a_secret_that_twilio_repeats_is_shown_to_nobody(fake: FakeTwilio, number: str) -> None:
    key = fake.sid("SK")
    secrets = {"api_key_sid": key, "api_key_secret": "key-secret", "shared_key": "shared-secret"}
    words = f"No {TOKEN}, key-secret, shared-secret or {FOREIGN}"
    for status in (400, 404):
        fake.faults.append(Fault(kind="instead", response=as_json({"code": 29999, "message": words}, status)))
        said = run("do", **secrets).said
        assert "No ***, ***, *** or https://crm.example.org/…" in said
    fake.faults.append(Fault(kind="instead", response=as_json({"message": words}, 401)))
    assert TOKEN not in cause()
