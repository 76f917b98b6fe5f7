"""What holds for every adapter when we ask something of its vendor: a text sent, a state asked for, credentials tried,
callbacks configured; whatever the vendor answers, and where it does not answer at all.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, urlsplit

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from tests import samples
from tests.webhooks.providers.test_every_provider import TREES, WORDS
from trackly.calls import Answer, Call, Dialogue, Unanswered, Unreached
from trackly.raw import RawRequest
from webhooks.orders import Asked, CannotUse, Checked, Hook, Outcome, Sent, Step, StepState, Text, Verdict
from webhooks.providers import all_providers, get
from webhooks.providers.base import Config, Field, Provider
from webhooks.statuses import Report

NOW = samples.RECEIVED_AT
SLUGS = sorted(all_providers())
TOKEN = "callbacktokenofourown00000"
HOOK = Hook(
    url=f"https://hooks.example.com/api/webhook-feedbacks/x/{TOKEN}",
    name="trackly-ab3def4h-1",
    numbers=("+18005550142", "+18005550143", "24680"),
)
ASKED = Asked(
    reference="a2b3c4d5e6f7a2b3c4d5e6f7a2",
    provider_message_id="SM00000000000000000000000000000042",
    sender="+18005550142",
    to="+14155550101",
    sent_at=NOW - timedelta(hours=1),
)
# What no vendor says of a message.
NOT_THEIRS = (b"", b"[]", b"<html>")
# No dialogue of a set-up or a check needs more; one that does goes round in circles.
MANY_CALLS = 100


def value_of(field: Field) -> str:
    """Something that the setting takes and that nobody writes by chance."""
    if field.hosts:
        return f"https://{field.hosts[0].replace('*', 'a1b2c3')}"
    if field.choices:
        return field.default or field.choices[0]
    if field.pattern:
        return find(st.from_regex(re.compile(field.pattern, re.ASCII), fullmatch=True), lambda text: len(text) >= 8)
    return field.default or f"value-of-{field.name}"


CONFIGS: dict[str, Config] = {slug: {field.name: value_of(field) for field in get(slug).config} for slug in SLUGS}
SECRETS = {slug: [CONFIGS[slug][field.name] for field in get(slug).config if field.secret] for slug in SLUGS}


EVERY_SECRET = sorted({secret for secrets in SECRETS.values() for secret in secrets})


def text(**changes: Any) -> Text:
    fields = {
        "reference": ASKED.reference,
        "public_id": "Ab3dEf4h",
        "sender": ASKED.sender,
        "to": ASKED.to,
        "body": "Hello",
        "callback_url": HOOK.url,
    }
    return Text(**(fields | changes))


def repeated(call: Call) -> bytes:
    """A refusal that repeats every secret it was sent, under every name that vendors use."""
    logins = [b64decode(value[6:]).decode() for _, value in call.headers if value.startswith("Basic ")]
    sent = unquote_plus(f"{call.url} {call.headers} {logins} {call.body.decode()}")
    said = " ".join([*(secret for secret in EVERY_SECRET if secret in sent), HOOK.url * (TOKEN in sent), "and more"])
    names = [*WORDS, "message", "detail", "details", "title", "description", "text", "error", "friendly_name"]
    flat = dict.fromkeys(names, said) | {"code": 20003, "errorCode": 305}
    row = flat | {"status": "Rejected", "messageErrorCode": 305, "messageDetails": said}
    nested = {"requestError": {"serviceException": flat}, "errors": [flat], "violations": [flat], "messages": [row]}
    return json.dumps(flat | nested).encode()


class Says(NamedTuple):
    """What a vendor answers to every call of a conversation."""

    status: int
    body: bytes | None = b""
    """None: what repeated() makes of the call."""
    headers: tuple[tuple[str, str], ...] = ()

    def to(self, call: Call) -> Answer:
        body = repeated(call) if self.body is None else self.body
        return Answer(status=self.status, headers=self.headers, body=body)


ANSWERS = [
    *(Says(status, None) for status in (200, 201, 400, 401, 403, 404, 409, 422, 429, 500)),
    *(Says(status, body) for status in (200, 201, 400) for body in (b"", b"{}", b"[]", b"<html>")),
    *(Says(status) for status in (204, 302, 401, 403, 404, 408, 429, 500, 502, 503, 504)),
]


class Ended(Exception):
    """A dialogue that raised something; `calls` are those it made before."""

    def __init__(self, error: Exception, calls: list[Call]) -> None:
        super().__init__(str(error))
        self.error, self.calls = error, calls


def lead(dialogue: Dialogue[Any], answer: Says | Exception) -> tuple[Any, list[Call]]:
    """What the dialogue returns when all its calls end so, and those calls; raises Ended."""
    calls: list[Call] = []
    try:
        call = next(dialogue)
        while True:
            calls.append(call)
            assert len(calls) <= MANY_CALLS
            call = dialogue.throw(answer) if isinstance(answer, Exception) else dialogue.send(answer.to(call))
    except StopIteration as end:
        return end.value, calls
    except (CannotUse, Unreached, Unanswered) as error:
        raise Ended(error, calls) from error


def end(dialogue: Dialogue[Any], answer: Says | Exception) -> tuple[Any, list[Call]]:
    """The same, with what it raised in the place of what it returned."""
    try:
        return lead(dialogue, answer)
    except Ended as ended:
        return ended.error, ended.calls


def acts(step: Step) -> list[Callable[[], Dialogue[Outcome]]]:
    return [step.do, step.look, step.undo]


def each_dialogue(slug: str) -> list[Dialogue[Any]]:
    """Every conversation the adapter can have, begun anew."""
    adapter, config = get(slug), CONFIGS[slug]
    made: list[Dialogue[Any]] = [adapter.send(text(), config), adapter.check(config)]
    if adapter.can_ask:
        made += [
            adapter.ask(asked, config)
            for asked in (
                ASKED,
                Asked(reference=ASKED.reference, provider_message_id="", sender=ASKED.sender, to=ASKED.to, sent_at=NOW),
            )
        ]
    return made + [act() for step in adapter.steps(config, HOOK) for act in acts(step)]


def words_of(result: Any) -> str:
    """Every text in it that a person may be shown."""
    if isinstance(result, Outcome):
        return f"{result.said} {result.fix}"
    if isinstance(result, Checked):
        return " ".join([result.said, *result.warnings, *(number.name for number in result.numbers or ())])
    reports = [result.report] if isinstance(result, Sent) else result if isinstance(result, list) else []
    return (
        f"{result}"
        if isinstance(result, Exception)
        else " ".join(
            f"{report.error_text} {report.vendor_status} {report.vendor_code} {report.error_code}" for report in reports
        )
    )


@pytest.mark.parametrize("slug", SLUGS)
def test_every_adapter_sends_checks_and_says_what_to_configure(slug: str) -> None:
    own = {name for kind in type(get(slug)).__mro__[:-1] if kind is not Provider for name in vars(kind)}
    assert own >= {"send", "check", "steps"}
    assert get(slug).can_ask == ("ask" in own)
    assert ("echoes" in own) == ("echo_headers" in own)


@pytest.mark.parametrize("slug", SLUGS)
def test_steps_have_keys_that_stay_and_titles_that_fit(slug: str) -> None:
    steps, again = (get(slug).steps(CONFIGS[slug], HOOK) for _ in range(2))
    keys = [step.key for step in steps]
    assert keys == [step.key for step in again]
    assert len(set(keys)) == len(keys)
    assert all(0 < len(step.key) <= 100 and 0 < len(step.title) <= 200 for step in steps)


@pytest.mark.parametrize("slug", SLUGS)
def test_no_conversation_raises_or_says_anything_else_or_a_secret(slug: str) -> None:
    """Whatever is answered: a result, or one of the three exceptions; words for people in it, and never a secret."""
    hidden = [*SECRETS[slug], TOKEN]
    assert not [step.title for step in get(slug).steps(CONFIGS[slug], HOOK) if any(one in step.title for one in hidden)]
    for answer in ANSWERS:
        for dialogue in each_dialogue(slug):
            said = words_of(end(dialogue, answer)[0])
            assert not [one for one in hidden if one in said], f"{answer.status}: {said}"


@pytest.mark.parametrize("slug", SLUGS)
def test_calls_go_by_https_with_no_secret_in_their_address(slug: str) -> None:
    for answer in ANSWERS:
        for dialogue in each_dialogue(slug):
            for call in end(dialogue, answer)[1]:
                assert urlsplit(call.url).scheme == "https"
                address = unquote_plus(call.url)
                assert not [secret for secret in SECRETS[slug] if secret in address]
                assert not [1 for name, value in call.headers if "\n" in f"{name}{value}"]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_text_is_handed_over_once_and_whole(slug: str) -> None:
    """However long: either the call carries all of it, or there is no call and it is refused. None is cut in silence."""
    adapter, config = get(slug), CONFIGS[slug]
    for length in (1, adapter.max_characters, adapter.max_characters + 1, 20 * adapter.max_characters):
        for answer in ANSWERS:
            result, calls = end(adapter.send(text(body="x" * length), config), answer)
            assert len([call for call in calls if call.method != "GET"]) <= 1
            assert all(b"x" * length in call.body for call in calls if call.method != "GET")
            if length <= adapter.max_characters:
                assert calls or adapter.echoes(text())
            elif not calls:
                assert (result.verdict, bool(result.report.error_text)) == (Verdict.REFUSED, True)


@pytest.mark.parametrize("slug", SLUGS)
def test_only_what_certainly_was_not_taken_may_be_sent_again(slug: str) -> None:
    adapter, config = get(slug), CONFIGS[slug]
    for answer in ANSWERS:
        sent, calls = lead(adapter.send(text(), config), answer)
        if not calls:
            continue
        assert sent.report.message_key == ASKED.reference
        assert bool(sent.report.error_text) == (sent.verdict != Verdict.ACCEPTED)
        if answer.status >= 500 or answer.status in (200, 201, 204) and answer.body in NOT_THEIRS:
            assert sent.verdict == Verdict.UNCLEAR, answer
        elif answer.status >= 300:
            assert sent.verdict != Verdict.ACCEPTED, answer
        if answer.status in (401, 429):
            # The credentials may be put right and the rush pass before the text is stale.
            assert sent.verdict == Verdict.LATER, answer


@pytest.mark.parametrize("slug", SLUGS)
def test_a_send_that_is_cut_off_is_never_called_a_yes_or_a_no(slug: str) -> None:
    adapter, config = get(slug), CONFIGS[slug]
    for cut, allowed in ((Unanswered("cut"), Verdict.UNCLEAR), (Unreached("away"), Verdict.LATER)):
        result, calls = end(adapter.send(text(), config), cut)
        if calls:
            assert len(calls) == 1
            assert result is cut or result.verdict == allowed


@pytest.mark.parametrize("slug", SLUGS)
def test_the_wait_that_a_vendor_asks_for_is_kept(slug: str) -> None:
    sent, calls = lead(get(slug).send(text(), CONFIGS[slug]), Says(429, b"{}", (("retry-after", "7"),)))
    assert not calls or sent.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("slug", SLUGS)
def test_refused_credentials_cannot_be_used_and_busy_says_nothing_of_them(slug: str) -> None:
    adapter, config = get(slug), CONFIGS[slug]
    for answer in ANSWERS:
        result, calls = end(adapter.check(config), answer)
        if not calls:
            assert isinstance(result, Checked)
        elif answer.status == 401:
            assert isinstance(result, CannotUse), answer
        elif answer.status == 429 or answer.status >= 500:
            assert isinstance(result, Unanswered), answer
        elif answer.status == 302 or answer.body in (b"[]", b"<html>"):
            assert not isinstance(result, Checked), answer


@pytest.mark.parametrize("slug", SLUGS)
def test_a_step_that_was_not_answered_well_is_not_done(slug: str) -> None:
    adapter, config = get(slug), CONFIGS[slug]
    for answer in ANSWERS:
        for step in adapter.steps(config, HOOK):
            for act in (step.do, step.look):
                outcome, calls = end(act(), answer)
                if calls and not 200 <= answer.status < 300:
                    done = isinstance(outcome, Outcome) and outcome.state in (StepState.DONE, StepState.WARNING)
                    # A 404 may be a finding: what is looked for is not there.
                    assert not done or answer.status == 404, (step.key, answer.status, outcome)
                if isinstance(outcome, Outcome):
                    assert len(outcome.said) <= 1000
                    assert len(outcome.fix) <= 1000
                    assert outcome.said
                    assert outcome.state == StepState.DONE or outcome.fix or outcome.is_temporary


@pytest.mark.parametrize("slug", [slug for slug in SLUGS if get(slug).can_ask])
def test_what_is_learned_by_asking_is_about_the_message_asked_for(slug: str) -> None:
    for answer in ANSWERS:
        found, _ = end(get(slug).ask(ASKED, CONFIGS[slug]), answer)
        if isinstance(found, list):
            assert all(isinstance(report, Report) and report.message_key == ASKED.reference for report in found)
        else:
            assert isinstance(found, (Unanswered, Unreached))


@pytest.mark.parametrize("slug", SLUGS)
def test_an_echo_is_a_callback_that_the_adapter_itself_believes(slug: str) -> None:
    adapter, config = get(slug), CONFIGS[slug]
    for echo in adapter.echoes(text()):
        headers = adapter.echo_headers(echo.body, config, now=NOW)
        request = RawRequest(
            method="POST", path=urlsplit(HOOK.url).path, query="",
            headers=tuple((name.lower(), value) for name, value in headers),
            body=echo.body, base_url="https://hooks.example.com", peer="127.0.0.1", secure=True, received_at=NOW,
        )  # fmt: skip
        adapter.verify(request, config, now=NOW)
        [report] = adapter.parse(request)
        assert isinstance(report, Report)
        assert report.message_key == ASKED.reference
        assert echo.after >= timedelta()


BODIES = st.binary(max_size=100) | TREES.map(lambda tree: json.dumps(tree).encode()) | st.just(b"[" * 100_000)


@pytest.mark.parametrize("slug", SLUGS)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    status=st.sampled_from([200, 201, 204, 302, 400, 401, 404, 429, 503]) | st.integers(100, 999),
    headers=st.lists(st.tuples(st.sampled_from(["retry-after", "content-type", "location"]), st.text(max_size=9))),
    body=BODIES,
)
def test_no_answer_raises_anything_but_the_three(
    slug: str, status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    for dialogue in each_dialogue(slug):
        result, _ = end(dialogue, Says(status, body, tuple(headers)))
        assert isinstance(result, (Sent, Checked, Outcome, list, CannotUse, Unanswered, Unreached))
        assert words_of(result).encode() is not None
