"""CM.com as the provider of a text: against a gateway that CM's own SDK takes for CM's."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cm_text.text_client import TextClient
from cm_text.text_client_status_codes import TextClientStatusCodes

from tests.fakes.cm import PATH, TOKEN, Callback, FakeCM
from tests.fakes.server import Fault, Response, as_json
from tests.samples import RECEIVED_AT
from trackly.calls import Answer, Unanswered, Unreached
from trackly.outgoing import hold_now
from trackly.raw import RawRequest
from webhooks.orders import CannotUse, Hook, Sent, StepState, Text, Verdict
from webhooks.providers.cm import adapter
from webhooks.providers.cm.sending import CODES, parts_of
from webhooks.statuses import Reason, Reply, Report, Status

REFERENCE = "a2b3c4d5e6f7a2b3c4d5e6f7a2"
CONFIG = {"product_token": TOKEN}
CALLBACK = "https://hooks.example.com/api/webhook-feedbacks/cm/path-token-for-tests"


@pytest.fixture
def cm(settings: Any) -> Iterator[FakeCM]:
    with FakeCM() as fake:
        settings.OUTGOING_ROUTES = {"https://gw.messaging.cm.com": fake.url}
        fake.callback_url = CALLBACK
        yield fake


def text(**changes: Any) -> Text:
    fields = {
        "reference": REFERENCE,
        "public_id": "Ab3dEf4h",
        "sender": "+31600000042",
        "to": "+31612345601",
        "body": "Test message",
        "callback_url": CALLBACK,
    }
    return Text(**(fields | changes))


def send(config: dict[str, str] = CONFIG, **changes: Any) -> Sent:
    return hold_now(adapter.send(text(**changes), config))


def answered(status: int, body: object, *, headers: tuple[tuple[str, str], ...] = ()) -> Sent:
    """What is made of this answer to a send, without a server."""
    dialogue = adapter.send(text(), CONFIG)
    next(dialogue)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(StopIteration) as stopped:
        dialogue.send(Answer(status=status, headers=headers, body=raw))
    assert isinstance(stopped.value.value, Sent)
    return stopped.value.value


def row(**changes: Any) -> dict[str, Any]:
    return {
        "to": "0031612345601",
        "status": "Accepted",
        "reference": REFERENCE,
        "parts": 1,
        "messageDetails": None,
        "messageErrorCode": 0,
    } | changes


def envelope(code: int, *rows: object) -> dict[str, Any]:
    return {"details": "What happened", "errorCode": code, "messages": list(rows)}


def received(callback: Callback) -> RawRequest:
    return RawRequest(
        method="POST",
        path=callback.url.removeprefix("https://hooks.example.com"),
        query="",
        headers=tuple((name.lower(), value) for name, value in callback.headers.items()),
        body=callback.body,
        base_url="https://hooks.example.com",
        peer="203.0.113.7",
        secure=True,
        received_at=RECEIVED_AT,
    )


# --- the fake is CM, as far as CM's own SDK can tell


def sdk(cm: FakeCM, token: str = TOKEN) -> TextClient:
    return TextClient(apikey=token, gateway=cm.url + PATH)


def test_the_sdk_sends_to_the_fake_and_reads_its_answer(cm: FakeCM) -> None:
    response = sdk(cm).SendSingleMessage("Test message", from_="TRK", to=["0031612345601"], reference="AbC12345")
    assert (response.status_code, response.json()["errorCode"]) == (200, TextClientStatusCodes.OK)
    assert response.json()["messages"] == [row(reference="AbC12345")]
    [taken] = cm.taken
    assert (taken.text, taken.reference, taken.sender, taken.token) == ("Test message", "AbC12345", "TRK", TOKEN)


def test_the_sdk_meets_the_codes_it_documents(cm: FakeCM) -> None:
    wrong = sdk(cm, "00000000-0000-0000-0000-000000000000").SendSingleMessage("a", from_="TRK", to=["0031612345601"])
    assert (wrong.status_code, wrong.json()["errorCode"]) == (400, TextClientStatusCodes.AUTHENTICATION_FAILED)
    client = sdk(cm)
    client.AddMessage("a", from_="TRK", to=["0031612345601"], reference="AbC1")
    client.AddMessage("b", from_="TRK", to=["12"], reference="AbC2")
    part = client.send()
    assert (part.status_code, part.json()["errorCode"]) == (200, TextClientStatusCodes.REQUEST_NOT_ALL_SENT)
    codes = [found["messageErrorCode"] for found in part.json()["messages"]]
    assert codes == [TextClientStatusCodes.OK, TextClientStatusCodes.MSG_INVALID_MSISDN]
    assert [taken.reference for taken in cm.taken] == ["AbC1"]


@pytest.mark.parametrize("name", [name for name in vars(TextClientStatusCodes) if name.isupper() and name != "OK"])
def test_every_code_of_the_sdk_has_its_words(name: str) -> None:
    assert str(getattr(TextClientStatusCodes, name)) in CODES


# --- sending


def test_a_text_goes_out_as_cm_documents_it(cm: FakeCM) -> None:
    sent = send()
    assert (sent.verdict, sent.provider_message_id, sent.retry_after) == (Verdict.ACCEPTED, "", None)
    assert sent.report == Report(
        message_key=REFERENCE, status=Status.ACCEPTED, vendor_status="Accepted", to="+31612345601", segments=1
    )
    [seen] = cm.requests
    assert (seen.method, seen.path, seen.headers["content-type"]) == ("POST", "/v1.0/message", "application/json")
    assert seen.headers["x-cm-producttoken"] == TOKEN
    assert seen.json() == {
        "messages": {
            "msg": [
                {
                    "allowedChannels": ["SMS"],
                    "from": "0031600000042",
                    "to": [{"number": "0031612345601"}],
                    "body": {"type": "auto", "content": "Test message"},
                    "minimumNumberOfMessageParts": 1,
                    "maximumNumberOfMessageParts": 8,
                    "reference": REFERENCE,
                }
            ]
        }
    }


def test_a_short_code_sends_as_it_is(cm: FakeCM) -> None:
    assert send(sender="3669").verdict == Verdict.ACCEPTED
    assert cm.taken[0].sender == "3669"


@pytest.mark.parametrize("body", ["x" * 8 * 153, "€" * 612, "ж" * 8 * 67, "\N{GRINNING FACE}" * 268])
def test_a_text_that_fits_arrives_whole(cm: FakeCM, body: str) -> None:
    # The fake counts any character outside ASCII as UCS-2; the euro alone would not fit there.
    if "€" not in body:
        assert send(body=body).report.segments == 8
        assert cm.taken[0].text == body
    assert parts_of(body) == 8
    assert len(body) <= adapter.max_characters


@pytest.mark.parametrize("body", ["x" * (8 * 153 + 1), "€" * 613, "ж" * (8 * 67 + 1), "\N{GRINNING FACE}" * 269])
def test_a_text_that_would_be_cut_is_refused_before_the_call(cm: FakeCM, body: str) -> None:
    sent = send(body=body)
    assert (sent.verdict, sent.report.status) == (Verdict.REFUSED, Status.REJECTED)
    assert "Shorten it" in sent.report.error_text
    assert cm.requests == []


@pytest.mark.parametrize(
    ("body", "parts"),
    [("", 1), ("x" * 160, 1), ("x" * 161, 2), ("[" * 80, 1), ("[" * 81, 2), ("ж" * 70, 1), ("ж" * 71, 2)],
)
def test_parts_are_counted_as_the_networks_do(body: str, parts: int) -> None:
    assert parts_of(body) == parts


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"sender": "Far too long a name"}, "301", Reason.REGISTRATION),
        ({"to": "+12"}, "303", Reason.INVALID_NUMBER),
        ({"body": ""}, "304", Reason.OTHER),
        ({"reference": "not-alphanumeric"}, "305", Reason.OTHER),
        ({"body": "viagra"}, "401", Reason.SPAM),
        ({"to": "+31612345602"}, "402", Reason.BLOCKED),
        ({"body": "casino"}, "403", Reason.BLOCKED),
    ],
)
def test_what_cm_rejects_is_refused_with_cause_and_fix(
    cm: FakeCM, changes: dict[str, str], code: str, reason: Reason
) -> None:
    cm.blacklist.add("0031612345602")
    sent = send(**changes)
    assert (sent.verdict, sent.report.status) == (Verdict.REFUSED, Status.REJECTED)
    assert (sent.report.error_code, sent.report.reason, sent.report.vendor_status) == (code, reason, "Rejected")
    assert sent.report.error_text.startswith(CODES[code][2])
    assert "CM says: " in sent.report.error_text
    assert cm.taken == []


def test_a_wrong_product_token_is_tried_again_after_it_is_put_right(cm: FakeCM) -> None:
    sent = send({"product_token": "00000000-0000-0000-0000-000000000000"})
    assert (sent.verdict, sent.report.error_code, sent.report.status) == (Verdict.LATER, "101", Status.UNKNOWN)
    assert "Copy the product token" in sent.report.error_text
    assert cm.taken == []


def test_without_a_product_token_nothing_is_called(cm: FakeCM) -> None:
    assert send({}).verdict == Verdict.LATER
    assert cm.requests == []


def test_an_empty_balance_is_tried_again(cm: FakeCM) -> None:
    cm.credit = 1
    assert send().verdict == Verdict.ACCEPTED
    sent = send()
    assert (sent.verdict, sent.report.reason, sent.report.error_code) == (Verdict.LATER, Reason.CREDIT, "102")
    assert "Top it up" in sent.report.error_text


def test_too_many_requests_wait_as_long_as_cm_asks(cm: FakeCM) -> None:
    cm.allowance = 1
    assert send().verdict == Verdict.ACCEPTED
    sent = send()
    assert (sent.verdict, sent.report.reason) == (Verdict.LATER, Reason.THROTTLED)
    assert sent.retry_after == timedelta(seconds=7)
    assert len(cm.taken) == 1


@pytest.mark.parametrize("value", ["soon", "-1", "", "Mon, 23 Nov 2026 09:30:00 GMT", "9" * 5000, "\xb2"])
def test_an_odd_retry_after_is_none(value: str) -> None:
    assert answered(429, b"", headers=(("retry-after", value),)).retry_after is None


def test_a_time_out_after_cm_took_it_is_not_an_answer(cm: FakeCM) -> None:
    cm.faults.append(Fault(kind="drop_after"))
    with pytest.raises(Unanswered):
        send()
    assert len(cm.taken) == 1


def test_nobody_there_means_nothing_was_sent(cm: FakeCM) -> None:
    cm.__exit__()
    with pytest.raises(Unreached):
        send()


UNREADABLE = [b"", b"<html>", b"[]", b"null", b"{", b'{"errorCode":[0]}', b'{"messages":{}}', b'{"messages":[7]}']


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
@pytest.mark.parametrize(
    "body", [*UNREADABLE, envelope(101), envelope(0, row(status="Rejected", messageErrorCode=303))]
)
def test_a_server_error_may_have_sent_it_whatever_it_says(status: int, body: object) -> None:
    sent = answered(status, body)
    assert (sent.verdict, sent.report.status, sent.report.has_error) == (Verdict.UNCLEAR, Status.UNKNOWN, False)
    assert "not sent again" in sent.report.error_text


@pytest.mark.parametrize("status", [200, 201, 204, 302])
@pytest.mark.parametrize(
    "body",
    [
        *UNREADABLE,
        envelope(0),
        envelope(0, row(status="Queued")),
        envelope(0, row(status="Accepted", messageErrorCode=303)),
        envelope(201, row(status="Rejected", messageErrorCode=999)),
        envelope(500),
        envelope(999),
    ],
)
def test_a_success_that_says_nothing_clear_is_unclear(status: int, body: object) -> None:
    assert answered(status, body).verdict == Verdict.UNCLEAR


@pytest.mark.parametrize("status", [400, 404, 413])
@pytest.mark.parametrize("body", UNREADABLE)
def test_a_refusal_without_words_is_tried_again(status: int, body: bytes) -> None:
    sent = answered(status, body)
    assert (sent.verdict, sent.report.vendor_status) == (Verdict.LATER, f"HTTP {status}")
    assert sent.report.error_text


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, envelope(201, row(status="Rejected", messageErrorCode=303)), Verdict.REFUSED),
        (200, envelope(201, row(status="Rejected", messageErrorCode=777)), Verdict.REFUSED),
        (200, envelope(201, row(status="Rejected")), Verdict.REFUSED),
        (200, envelope(201, row()), Verdict.ACCEPTED),
        (200, envelope(101), Verdict.LATER),
        (400, envelope(201), Verdict.REFUSED),
        (400, envelope(202), Verdict.REFUSED),
        (400, envelope(203), Verdict.REFUSED),
        (400, envelope(103), Verdict.LATER),
        (400, envelope(777), Verdict.REFUSED),
        (400, envelope(0, row()), Verdict.UNCLEAR),
        (400, envelope(500), Verdict.UNCLEAR),
        (401, b"", Verdict.LATER),
        (403, b"<html>", Verdict.LATER),
    ],
)
def test_the_row_decides_and_else_the_whole_answer(status: int, body: object, verdict: Verdict) -> None:
    assert answered(status, body).verdict == verdict


def test_the_product_token_in_what_cm_says_is_not_repeated() -> None:
    body = envelope(201, row(status="Rejected", messageErrorCode=305, messageDetails=f"Not by {TOKEN}!"))
    sent = answered(400, body)
    assert "Not by ***!" in sent.report.error_text


# --- credentials


def test_a_good_product_token_is_told_from_a_bad_one_without_sending(cm: FakeCM) -> None:
    found = hold_now(adapter.check(CONFIG))
    assert (found.numbers, found.warnings) == (None, ())
    assert "seems to take it" in found.said
    assert "test message" in found.said
    for token in ("00000000-0000-0000-0000-000000000000", ""):
        with pytest.raises(CannotUse, match="Copy the product token"):
            hold_now(adapter.check({"product_token": token}))
    assert cm.taken == []
    assert [seen.json() for seen in cm.requests] == [{"messages": {"msg": []}}] * 2


@pytest.mark.parametrize("fault", [Response(status=401), as_json({"errorCode": 103, "messages": []}, 400)])
def test_every_other_no_to_the_product_token_is_a_no(cm: FakeCM, fault: Response) -> None:
    cm.faults.append(Fault(kind="instead", response=fault))
    with pytest.raises(CannotUse, match="does not take this product token"):
        hold_now(adapter.check(CONFIG))


def test_an_empty_balance_is_a_warning(cm: FakeCM) -> None:
    cm.faults.append(Fault(kind="instead", response=as_json(envelope(102), 400)))
    assert "Top it up" in hold_now(adapter.check(CONFIG)).warnings[0]


@pytest.mark.parametrize(
    "response", [Response(status=503), Response(status=429), as_json(envelope(500), 200), as_json(envelope(999), 400)]
)
def test_a_busy_cm_says_nothing_about_the_product_token(cm: FakeCM, response: Response) -> None:
    cm.faults.append(Fault(kind="instead", response=response))
    with pytest.raises(Unanswered, match="busy"):
        hold_now(adapter.check(CONFIG))


@pytest.mark.parametrize("response", [Response(status=200, body=b"<html>"), Response(status=404), Response(status=302)])
def test_an_answer_that_is_not_cms_is_not_a_yes(cm: FakeCM, response: Response) -> None:
    cm.faults.append(Fault(kind="instead", response=response))
    with pytest.raises(CannotUse, match="none that it documents"):
        hold_now(adapter.check(CONFIG))


# --- configuration


def test_the_callback_url_is_pasted_by_hand_and_not_repeated(cm: FakeCM) -> None:
    [step] = adapter.steps(CONFIG, Hook(url=CALLBACK, name="trackly", numbers=("+31600000042",)))
    outcomes = [hold_now(act()) for act in (step.do, step.look, step.undo)]
    assert [outcome.state for outcome in outcomes] == [StepState.BY_HAND] * 3
    assert "status reports" in outcomes[0].fix
    assert "incoming messages (MO)" in outcomes[0].fix
    assert "remove the callback URL" in outcomes[2].fix
    assert cm.requests == []


# --- and back


def test_what_was_sent_is_reported_by_its_reference(cm: FakeCM) -> None:
    send()
    [delivered] = adapter.parse(received(cm.report(REFERENCE, "2")))
    assert isinstance(delivered, Report)
    assert (delivered.message_key, delivered.status, delivered.to) == (REFERENCE, Status.DELIVERED, "0031612345601")
    [failed] = adapter.parse(received(cm.report(REFERENCE, "3", "24", "Absent subscriber")))
    assert isinstance(failed, Report)
    assert (failed.status, failed.reason) == (Status.FAILED, Reason.UNREACHABLE)


def test_a_reply_of_the_recipient_is_read(cm: FakeCM) -> None:
    callback = cm.reply("0031612345601", "0031600000042", "STOP")
    assert callback.url == CALLBACK
    [found] = adapter.parse(received(callback))
    assert isinstance(found, Reply)
    assert (found.sender, found.recipient, found.text) == ("0031612345601", "0031600000042", "STOP")
