"""The sandbox as the provider of a text: what it answers, what it calls back, what it says when asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trackly.calls import Dialogue, Unanswered
from trackly.raw import RawRequest
from webhooks.orders import Asked, Hook, Sent, Text, Verdict
from webhooks.providers.base import BadSignature
from webhooks.providers.sandbox import adapter
from webhooks.statuses import TIER, Reason, Report, Status

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
REFERENCE = "a2b3c4d5e6f7a2b3c4d5e6f7a2"
CONFIG = {"signing_key": "sandbox-key-for-tests"}


def text(last_four: str, body: str = "Hello") -> Text:
    return Text(
        reference=REFERENCE,
        public_id="Ab3dEf4h",
        sender="+18005550142",
        to=f"+1415555{last_four}",
        body=body,
        callback_url="http://127.0.0.1:8000/api/webhook-feedbacks/sandbox/token",
    )


def asked(last_four: str) -> Asked:
    one = text(last_four)
    return Asked(reference=one.reference, provider_message_id="", sender=one.sender, to=one.to, sent_at=NOW)


def result(dialogue: Dialogue[Any]) -> Any:
    """What a dialogue that makes no call comes to."""
    with pytest.raises(StopIteration) as stopped:
        next(dialogue)
    return stopped.value.value


def send(last_four: str, body: str = "Hello") -> Sent:
    sent = result(adapter.send(text(last_four, body), CONFIG))
    assert isinstance(sent, Sent)
    return sent


def posted(body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> RawRequest:
    return RawRequest(
        method="POST",
        path="/api/webhook-feedbacks/sandbox/token",
        query="",
        headers=tuple((name.lower(), value) for name, value in headers),
        body=body,
        base_url="http://127.0.0.1:8000",
        peer="127.0.0.1",
        secure=False,
        received_at=NOW,
    )


def reports(last_four: str) -> list[Report]:
    """What the callbacks of a text read as, in the order they are posted."""
    echoes = sorted(adapter.echoes(text(last_four)), key=lambda echo: echo.after)
    found = [item for echo in echoes for item in adapter.parse(posted(echo.body))]
    assert all(isinstance(item, Report) for item in found)
    return [item for item in found if isinstance(item, Report)]


def test_a_text_is_taken_called_sent_and_delivered_within_two_seconds() -> None:
    sent = send("0101")
    assert (sent.verdict, sent.provider_message_id, sent.retry_after) == (Verdict.ACCEPTED, "", None)
    assert (sent.report.message_key, sent.report.status, sent.report.has_error) == (REFERENCE, Status.ACCEPTED, False)
    assert [(found.message_key, found.status) for found in reports("0101")] == [
        (REFERENCE, Status.SENT),
        (REFERENCE, Status.DELIVERED),
    ]
    assert {found.to for found in reports("0101")} == {"+14155550101"}
    assert max(echo.after for echo in adapter.echoes(text("0101"))) <= timedelta(seconds=2)


@pytest.mark.parametrize(
    ("last_four", "verdict", "status", "reason"),
    [
        ("0001", Verdict.REFUSED, Status.REJECTED, Reason.INVALID_NUMBER),
        ("0002", Verdict.LATER, Status.UNKNOWN, Reason.THROTTLED),
    ],
)
def test_a_number_that_is_not_taken_says_why_and_is_never_reported(
    last_four: str, verdict: Verdict, status: Status, reason: Reason
) -> None:
    sent = send(last_four)
    assert (sent.verdict, sent.report.status, sent.report.reason) == (verdict, status, reason)
    assert sent.report.error_text
    assert reports(last_four) == []
    assert result(adapter.ask(asked(last_four), CONFIG)) == []


@pytest.mark.parametrize(
    ("last_four", "expected"),
    [
        ("0003", [(Status.SENT, None), (Status.UNDELIVERED, Reason.UNREACHABLE)]),
        ("0004", [(Status.REJECTED, Reason.OPT_OUT)]),
        ("0005", [(Status.SENT, None), (Status.EXPIRED, Reason.EXPIRED)]),
        ("0006", [(Status.DELIVERED, None), (Status.SENT, None)] * 2),
        ("0007", []),
    ],
)
def test_the_last_four_digits_choose_what_is_called_back(last_four: str, expected: list[Any]) -> None:
    assert send(last_four).verdict == Verdict.ACCEPTED
    assert [(found.status, found.reason) for found in reports(last_four)] == expected


def test_a_callback_that_comes_twice_is_the_same_report() -> None:
    echoes = adapter.echoes(text("0006"))
    assert len(echoes) == 4
    assert len({echo.body for echo in echoes}) == 2
    assert len({found.fingerprint for found in reports("0006")}) == 2


def test_a_lost_answer_is_neither_a_yes_nor_a_no() -> None:
    with pytest.raises(Unanswered, match="0008"):
        next(adapter.send(text("0008"), CONFIG))
    assert reports("0008") == []


@pytest.mark.parametrize("last_four", ["0101", "0003", "0004", "0005", "0006"])
def test_asking_tells_what_the_greatest_callback_told(last_four: str) -> None:
    [found] = result(adapter.ask(asked(last_four), CONFIG))
    last = max(reports(last_four), key=lambda report: TIER[report.status])
    assert (found.status, found.reason, found.error_text) == (last.status, last.reason, last.error_text)
    assert found.message_key == REFERENCE


@pytest.mark.parametrize("last_four", ["0007", "0008"])
def test_what_was_never_reported_is_delivered_to_who_asks(last_four: str) -> None:
    [found] = result(adapter.ask(asked(last_four), CONFIG))
    assert (found.message_key, found.status, found.reason) == (REFERENCE, Status.DELIVERED, None)


def test_a_text_longer_than_it_takes_is_refused() -> None:
    assert send("0101", "x" * adapter.max_characters).verdict == Verdict.ACCEPTED
    sent = send("0101", "x" * (adapter.max_characters + 1))
    assert (sent.verdict, sent.report.status) == (Verdict.REFUSED, Status.REJECTED)
    assert "1,600 characters" in sent.report.error_text


def test_a_callback_is_signed_for_the_moment_it_is_posted() -> None:
    [echo, _] = adapter.echoes(text("0101"))
    request = posted(echo.body, adapter.echo_headers(echo.body, CONFIG, now=NOW))
    adapter.verify(request, CONFIG, now=NOW)
    assert request.header("content-type") == "application/json"
    with pytest.raises(BadSignature):
        adapter.verify(request, CONFIG, now=NOW + timedelta(minutes=6))


def test_without_a_signing_key_it_calls_back_unsigned() -> None:
    assert adapter.echo_headers(b"{}", {}, now=NOW) == (("Content-Type", "application/json"),)


def test_it_offers_numbers_to_tick_and_leaves_nothing_to_configure() -> None:
    found = result(adapter.check(CONFIG))
    assert "+18005550142" in [number.number for number in found.numbers]
    assert found.warnings == ()
    assert "no signing key" in result(adapter.check({})).warnings[0]
    assert adapter.steps(CONFIG, Hook(url="http://127.0.0.1:8000/x", name="trackly", numbers=())) == ()
