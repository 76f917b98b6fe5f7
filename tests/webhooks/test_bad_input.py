"""Bad input gets a clear answer and is never lost silently; whatever the bytes, nothing answers with a 5xx."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

import pytest

from sendinglists.models import Message, SendingList
from tests.factories import MessageFactory, ProviderAccountFactory, SendingListFactory
from tests.webhooks.calls import BASE, call, events, reply, report, token_url
from trackly.payloads import BadPayload, read_json, too_deep
from trackly.wsgi import BodyCap
from webhooks import providers
from webhooks.inbound.models import Cause, InboundRequest, ParkedReport, Reply, State
from webhooks.providers.base import MAX_ITEMS

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]


# --- the cap on bodies


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))]


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("10", 200),
        ("11", 413),
        ("9" * 10_000, 413),
        ("-1", 400),
        ("1e1", 400),
        ("\u0662", 400),
        ("", 200),
        ("0" * 99 + "9", 200),
    ],
)
def test_announced_length_over_the_cap_is_413_before_anything_is_read(length: str, status: int) -> None:
    unread = BytesIO(b"0123456789")
    answer = call("/", through=BodyCap(echo, 10), headers={"Content-Length": length}, **{"wsgi.input": unread})
    assert answer.status == status
    assert status == 200 or unread.tell() == 0


@pytest.mark.parametrize(("size", "status"), [(0, 200), (10, 200), (11, 413), (1_000_000, 413)])
def test_chunked_body_is_handed_on_whole_up_to_the_cap_and_never_read_past_it(size: int, status: int) -> None:
    stream = BytesIO(b"x" * size)
    headers = {"Transfer-Encoding": "Chunked", "Content-Length": ""}
    answer = call("/", through=BodyCap(echo, 10), headers=headers, **{"wsgi.input": stream})
    assert answer.status == status
    assert answer.body == (b"x" * size if status == 200 else b"The body is over 10 bytes.")
    assert stream.tell() <= 11


def test_chunked_report_counts_like_any_other(message: Message, work_off: WorkOff) -> None:
    stream = BytesIO(events(report("v-1")))
    headers = {"Transfer-Encoding": "chunked", "Content-Length": ""}
    assert call(token_url(message.provider_account), headers=headers, **{"wsgi.input": stream}).status == 200
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"


@pytest.fixture
def port() -> Iterator[int]:
    """Of a real gunicorn with a cap of 1,000 bytes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "trackly.wsgi", "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    command += ["--env", "BODY_CAP_BYTES=1000"]
    server = subprocess.Popen(command)
    try:
        yield port
    finally:
        server.terminate()
        server.wait(10)


def ask(port: int, body: Any, **headers: str) -> int:
    deadline = time.monotonic() + 20
    while True:
        link = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            link.request("POST", f"{BASE}/nobody", body, headers)
            return link.getresponse().status
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        finally:
            link.close()


def test_gunicorn_answers_413_over_the_cap_announced_and_chunked(port: int) -> None:
    assert ask(port, b"x" * 1_000) == 404
    assert ask(port, b"x" * 1_001) == 413
    # An iterable is sent in chunks.
    assert ask(port, iter([b"x" * 500, b"x" * 500])) == 404
    assert ask(port, iter([b"x" * 500] * 3)) == 413


# --- bodies that cannot be read


DEEP_JSON = b"[" * 100 + b"]" * 100
BOMB = (
    b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><DeliveryReports><results>&b;</results></DeliveryReports>'
)
EXTERNAL = b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><MESSAGES><MSG>&a;</MSG></MESSAGES>'
UNREADABLE = {
    "empty": ("sandbox", b""),
    "deep JSON": ("sandbox", DEEP_JSON),
    "deep JSON in a field": ("cm", b'{"messages":{"msg":' + DEEP_JSON + b"}}"),
    "broken UTF-8": ("infobip", b'{"results":"\xff\xfe"}'),
    "NaN": ("cm", b'{"messages":{"msg":NaN}}'),
    "a number of 10,000 digits": ("cm", b'{"messages":' + b"9" * 10_000 + b"}"),
    "XML entities": ("infobip", BOMB),
    "an external XML entity": ("cm", EXTERNAL),
    "another shape": ("infobip", b'{"results":{}}'),
    "half a body": ("infobip", b'{"results":[{"messageId":"m-1"'),
}


@pytest.mark.parametrize(("slug", "body"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_body_is_400_with_a_cause_and_kept(slug: str, body: bytes) -> None:
    party = ProviderAccountFactory(provider=slug)
    answer = call(token_url(party), body)
    assert answer.status == 400
    detail = json.loads(answer.body)["detail"]
    row = InboundRequest.objects.get()
    assert (row.state, row.refusal, row.party_id) == (State.REFUSED, Cause.UNREADABLE, party.id)
    assert bytes(row.body) == body
    assert row.outcome == detail != ""


def test_query_of_more_than_a_thousand_fields_is_400_and_kept() -> None:
    party = ProviderAccountFactory(provider="cm")
    query = "reference=a&status=2" + "".join(f"&x{n}=1" for n in range(1_000))
    assert call(token_url(party, f"?{query}"), method="GET").status == 400
    row = InboundRequest.objects.get()
    assert (row.refusal, bytes(row.query)) == (Cause.UNREADABLE, query.encode())
    assert "1000 fields" in row.outcome


def crowd(n: int) -> dict[str, tuple[str, bytes]]:
    """Envelopes of n items each, by the shape they come in."""
    zeros = b",".join([b"0"] * n)
    return {
        "Infobip JSON": ("infobip", b'{"results":[' + zeros + b"]}"),
        "Infobip XML": ("infobip", b"<DeliveryReports><results>" + b"<r/>" * n + b"</results></DeliveryReports>"),
        "CM list": ("cm", b'{"messages":{"msg":[' + zeros + b"]}}"),
        "CM XML": ("cm", b"<MESSAGES>" + b"<MSG/>" * n + b"</MESSAGES>"),
        "sandbox": ("sandbox", b'{"events":[' + zeros + b"]}"),
    }


@pytest.mark.parametrize(("slug", "body"), crowd(MAX_ITEMS + 1).values(), ids=crowd(0))
def test_more_items_than_any_vendor_sends_are_400_before_one_is_built_and_kept(
    slug: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*_: object) -> None:
        raise AssertionError("an item was built")

    monkeypatch.setattr(type(providers.all_providers()[slug]), "_item", built)
    party = ProviderAccountFactory(provider=slug)
    answer = call(token_url(party), body)
    assert (answer.status, json.loads(answer.body)["detail"]) == (400, "more than 5000 items in one request")
    row = InboundRequest.objects.get()
    assert (row.refusal, row.party_id, row.items) == (Cause.UNREADABLE, party.id, 1)


@pytest.mark.parametrize(("slug", "body"), crowd(MAX_ITEMS).values(), ids=crowd(0))
def test_as_many_items_as_the_bound_are_read(slug: str, body: bytes) -> None:
    assert call(token_url(ProviderAccountFactory(provider=slug)), body).status == 200
    assert InboundRequest.objects.get().items == MAX_ITEMS


def test_four_megabytes_of_zeros_at_the_bare_url_are_refused() -> None:
    body = b'{"results":[' + b"0," * (2 * 1024 * 1024 - 10) + b"0]}"
    assert call(f"{BASE}/infobip", body).status == 403


@pytest.mark.parametrize("rest", ["", "/wrong-token", "?account=nobody"])
def test_refused_request_is_read_once_though_the_tables_are_asked_twice(
    rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    sandbox = type(providers.all_providers()["sandbox"])
    parse = sandbox.parse
    monkeypatch.setattr(sandbox, "parse", lambda self, request: reads.append(1) or parse(self, request))
    assert call(f"{BASE}/sandbox{rest}", events(report("v-1"))).status in (403, 404)
    assert len(reads) == 1


# --- odd values in readable bodies


def test_nul_and_broken_text_are_stored_without_and_counted(
    line: SendingList, message: Message, work_off: WorkOff
) -> None:
    body = events(report("v-\x001", text="o\x00ff", error="x\x00"), reply("ST\x00OP", key="r\x00"))
    assert call(token_url(line.provider_account), body).status == 200
    work_off()
    message.refresh_from_db()
    assert (message.status, message.error_text) == ("delivered", "off")
    assert Reply.objects.get().text == "STOP"


def test_nul_in_a_currency_costs_neither_the_report_nor_its_price(work_off: WorkOff) -> None:
    party = ProviderAccountFactory(provider="infobip")
    message = MessageFactory(sending_list=SendingListFactory(provider_account=party), provider_message_id="m-1")
    item = {"messageId": "m-1", "status": {"groupId": 3}, "price": {"pricePerMessage": 0.0067, "currency": "U\x00SD"}}
    assert call(token_url(party), json.dumps({"results": [item]}).encode()).status == 200
    work_off()
    message.refresh_from_db()
    assert (message.status, message.cost) == ("delivered", Decimal("0.0067"))


def test_broken_utf8_in_a_form_becomes_a_mark_and_the_rest_counts(work_off: WorkOff) -> None:
    party = ProviderAccountFactory(provider="cm")
    query = "reference=r-1%ff%fe&statuscode=2&received=%00"
    assert call(token_url(party, f"?{query}"), method="GET").status == 200
    work_off()
    assert ParkedReport.objects.get().message_key == "r-1\ufffd\ufffd"


def test_one_impossible_number_costs_its_own_item_only(message: Message, work_off: WorkOff) -> None:
    number = b'{"type":"report","message":' + b"1" * 10_000 + b',"status":"sent"}'
    body = b'{"events":[' + number + b"," + json.dumps(report("v-1")).encode() + b"]}"
    assert call(token_url(message.provider_account), body).status == 200
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"
    row = InboundRequest.objects.get()
    assert (row.state, row.refusal) == (State.DONE, Cause.UNREADABLE)
    assert "1 new" in row.outcome


def test_last_of_two_equal_keys_counts_and_the_stored_bytes_keep_both(message: Message, work_off: WorkOff) -> None:
    body = b'{"type":"report","message":"v-0","status":"failed","message":"v-1","status":"delivered"}'
    assert call(token_url(message.provider_account), body).status == 200
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"
    assert bytes(InboundRequest.objects.get().body) == body


def test_ids_of_4000_characters_are_cut_and_kept(line: SendingList, work_off: WorkOff) -> None:
    body = events(report("m" * 4_000), reply("hello", key="k" * 4_000, sender="9" * 4_000))
    assert call(token_url(line.provider_account), body).status == 200
    work_off()
    assert ParkedReport.objects.get().message_key == "m" * 200
    assert Reply.objects.get().key == "k" * 200


# --- odd requests


def test_other_methods_are_405_and_store_nothing(line: SendingList) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        assert call(token_url(line.provider_account), method=method).status == 405
    assert not InboundRequest.objects.exists()


def test_head_tells_whether_an_address_is_one_of_ours_and_stores_nothing(line: SendingList) -> None:
    known, public_id = token_url(line.provider_account), line.account.public_id
    for target in (known, f"{known}/mo", f"{BASE}/sandbox", f"{BASE}/sandbox?account={public_id}"):
        answer = call(target, method="HEAD")
        assert (answer.status, answer.body) == (200, b"")
    for target in (known[:-1], f"{BASE}/sandbox?account=nobody", f"{BASE}/nobody"):
        assert call(target, method="HEAD").status == 404
    assert not InboundRequest.objects.exists()


@pytest.mark.parametrize("slug", ["nobody", "base", "Sandbox", "%73andbox%00", "sandbox%2F", "..", "a" * 4_000])
def test_unknown_provider_is_404_and_stores_nothing(slug: str) -> None:
    assert call(f"{BASE}/{slug}", events()).status == 404
    assert not InboundRequest.objects.exists()


def test_sandbox_is_unknown_where_it_is_not_enabled(line: SendingList, settings: Any) -> None:
    settings.SANDBOX_ENABLED = False
    assert call(token_url(line.provider_account), events()).status == 404


def test_trailing_slashes_are_no_redirect(line: SendingList) -> None:
    target = token_url(line.provider_account)
    for slashes in ("", "/", "//", "/mo/", "/status"):
        assert call(target + slashes, events()).status == 200


def test_format_and_accept_are_ignored(line: SendingList) -> None:
    target, headers = token_url(line.provider_account), {"Accept": "text/html;q=1, application/nothing"}
    for query in ("?format=api", "?format=nothing", "?_method=GET"):
        answer = call(target + query, events(), headers=headers)
        assert (answer.status, answer.body) == (200, b'{"status":"accepted"}')
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "nonsense",
        "multipart/form-data",
        "text/plain; charset*=BOGUS'en'%41",
        "a/b; charset=hex",
        "a/b; charset=\x00",
    ]
    + ["a/b; x*0*=utf-8''%ff; x*=a", ";=;;", "application/json; charset=" + "x" * 9_000],
)
def test_no_content_type_stops_a_report_and_it_is_stored_as_it_came(
    content_type: str, message: Message, work_off: WorkOff
) -> None:
    answer = call(token_url(message.provider_account), events(report("v-1")), headers={"Content-Type": content_type})
    assert answer.status == 200
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"
    lines = re.findall(rb"content-type: ([^\r]*)\r\n", bytes(InboundRequest.objects.get().headers))
    assert lines == ([content_type.encode("latin-1")] if content_type else [])


def test_a_string_that_never_ends_is_scanned_once() -> None:
    # Sixty-four kilobytes took seven seconds, quadrupling with each doubling; a linear scan of four megabytes takes a moment.
    body = b"[]" * 65 + b'"' + b'\\"' * 2_000_000
    assert not too_deep(body)
    assert not too_deep(body + b"\\")
    assert too_deep(b"[" * 65 + b'"' + b'\\"' * 100)


@pytest.mark.parametrize("sent", [0, 1, 20])
def test_a_body_cut_off_by_a_lost_connection_is_refused(sent: int) -> None:
    whole = b"click_id=k3v9&payout=42.50"
    reached = []
    application = BodyCap(lambda environ, start_response: reached.append(environ) or [], 1000)
    statuses: list[str] = []
    environ = {"CONTENT_LENGTH": str(len(whole)), "wsgi.input": BytesIO(whole[:sent]), "REQUEST_METHOD": "POST"}
    application(environ, lambda status, headers: statuses.append(status))
    assert statuses == ["400 Bad Request"]
    assert not reached


@pytest.mark.parametrize("item", [b"{}", b"[]"])
def test_millions_of_brackets_are_refused_uncounted(item: bytes) -> None:
    with pytest.raises(BadPayload, match="more than 100000"):
        read_json(b"[" + b",".join([item] * 1_000_000) + b"]")
