"""Messages sent from elsewhere and numbers to be closed: every row judged by itself, repeated rows known, any order alike."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from sendinglists.closings import Closing, import_suppressions
from sendinglists.imports import Imported, Sending, TooManyRows, import_messages
from sendinglists.models import Contact, Message, SendingList, Subscription, SubscriptionChange, Suppression
from sendinglists.sheets import MOST_BYTES, MOST_ROWS, BadFile, RowError, read_csv
from tests.factories import MessageFactory, SendingListFactory
from tests.webhooks.calls import report, tell
from trackly.models import HourlyTotal
from webhooks.inbound.models import ParkedReport
from webhooks.inbound.timeline import hear

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
TO = "+14155550101"


@pytest.fixture
def line() -> SendingList:
    return SendingListFactory(number="+18005550142", brand="Acme")


def row(line: SendingList, key: str = "a", **fields: Any) -> Sending:
    known = {"id": key, "provider_id": f"v-{key}", "list": str(line.id), "to": TO, "sent_at": "2026-11-23T09:00:00Z"}
    return Sending(**(known | fields))


def bring(line: SendingList, *rows: Sending | RowError) -> list[Imported]:
    return import_messages(line.account, rows, now=NOW, hear=hear)


def outcomes(answers: list[Imported]) -> list[str]:
    return [answer.outcome.value for answer in answers]


def totals() -> dict[str, int]:
    return {key: n for key, n in HourlyTotal.objects.values_list("kind", "n") if n}


def test_a_row_becomes_a_message_that_was_sent_elsewhere(line: SendingList) -> None:
    (answer,) = bring(line, row(line, campaign="Fall", cost="0.0075", currency="eur"))
    message = Message.objects.get()
    assert (answer.index, answer.outcome, answer.message_id, answer.code) == (0, "new", message.public_id, "")
    assert (message.account, message.sending_list, message.provider_account) == (
        line.account,
        line,
        line.provider_account,
    )
    assert (message.external_id, message.provider_message_id, message.to, message.campaign) == ("a", "v-a", TO, "Fall")
    assert (message.created_at, message.sent_at, message.is_external, message.status) == (NINE, NINE, True, "sent")
    assert (message.cost, message.cost_currency) == (Decimal("0.0075"), "EUR")
    assert (message.due_at, message.ask_at, message.leased_until) == (None, None, None)
    event = message.deliveryevent_set.get()
    assert (event.origin, event.status, event.at, event.received_at, event.request_uid) == (
        "import",
        "sent",
        NINE,
        NOW,
        None,
    )
    assert Contact.objects.get().phone == TO
    assert totals() == {"message": 1, "message_sent": 1}
    assert set(HourlyTotal.objects.values_list("hour", "list_id")) == {(NINE, line.id)}


@pytest.mark.parametrize("gone", ["id", "provider_id"])
def test_a_repeated_row_is_a_duplicate_and_no_error(line: SendingList, gone: str) -> None:
    once = replace(row(line), **{gone: ""})
    assert outcomes(bring(line, once, once)) == ["new", "duplicate"]
    (again,) = bring(line, replace(once, campaign="Other", sent_at="2026-11-23T10:00:00Z"))
    assert (again.outcome, again.message_id) == ("duplicate", Message.objects.get().public_id)
    assert totals() == {"message": 1, "message_sent": 1}
    assert Message.objects.get().deliveryevent_set.count() == 1


def test_rows_that_share_one_of_their_ids_are_one_message(line: SendingList) -> None:
    assert outcomes(bring(line, row(line), row(line, "b", provider_id="v-a"), row(line, provider_id="v-c"))) == [
        "new",
        "duplicate",
        "duplicate",
    ]
    assert Message.objects.count() == 1


def test_a_message_of_ours_is_known_by_the_providers_id_and_left_alone(line: SendingList) -> None:
    ours = MessageFactory(sending_list=line, provider_message_id="v-a", campaign="Ours")
    (answer,) = bring(line, row(line, campaign="Theirs"))
    assert (answer.outcome, answer.message_id) == ("duplicate", ours.public_id)
    ours.refresh_from_db()
    assert (ours.external_id, ours.campaign, ours.is_external, ours.status) == ("", "Ours", False, "queued")


def test_a_message_made_from_its_reports_gains_what_the_import_knows(line: SendingList) -> None:
    MessageFactory(sending_list=line, provider_message_id="v-a", is_external=True, status="delivered")
    (answer,) = bring(line, row(line, campaign="Fall", cost="1,25"))
    message = Message.objects.get()
    assert (answer.outcome, answer.message_id) == ("duplicate", message.public_id)
    assert (message.external_id, message.campaign, message.cost, message.status) == (
        "a",
        "Fall",
        Decimal("1.25"),
        "delivered",
    )
    assert outcomes(bring(line, row(line))) == ["duplicate"]


@pytest.mark.parametrize("is_first", [True, False])
def test_import_and_reports_end_alike_in_either_order(
    line: SendingList, work_off: Callable[[], int], is_first: bool
) -> None:
    told = [report("v-a", "sent", at="2026-11-23T09:00:01Z"), report("v-a", at="2026-11-23T09:00:05Z")]
    if is_first:
        bring(line, row(line))
    tell(line.provider_account, *told)
    work_off()
    if not is_first:
        bring(line, row(line))
    work_off()
    message = Message.objects.get()
    assert (message.status, message.sent_at, message.deliveryevent_set.count()) == ("delivered", NINE, 3)
    assert not ParkedReport.objects.exists()
    assert totals() == {"message": 1, "message_delivered": 1, "report": 2}


WRONG = [
    ({"id": "", "provider_id": ""}, "missing_id"),
    ({"id": "x" * 101}, "invalid_id"),
    ({"provider_id": "x\x00"}, "invalid_provider_id"),
    ({"campaign": "x" * 101}, "invalid_campaign"),
    ({"list": ""}, "missing_list"),
    ({"list": "999999"}, "list_not_found"),
    ({"list": "+18005559999"}, "list_not_found"),
    ({"to": ""}, "missing_to_number"),
    ({"to": "hello"}, "invalid_phone"),
    ({"to": "12345"}, "invalid_phone"),
    *(({"to": to}, "invalid_phone") for to in ("4155550152", "(415) 555-0173", "14155550101", "+4155550152")),
    ({"to": "1.41556E+10"}, "invalid_phone"),
    ({"sent_at": ""}, "missing_timestamp"),
    ({"sent_at": "yesterday"}, "invalid_timestamp"),
    ({"sent_at": "0001-01-01T00:00:00+14:00"}, "invalid_timestamp"),
    ({"sent_at": "9999-12-31T23:59:59-14:00"}, "invalid_timestamp"),
    ({"sent_at": (NOW + timedelta(days=1, seconds=1)).isoformat()}, "invalid_timestamp"),
    ({"sent_at": (NOW - timedelta(days=400, seconds=1)).isoformat()}, "invalid_timestamp"),
    *(({"cost": cost}, "invalid_cost") for cost in ("-1", "1e5", "NaN", "1,234", "1.234,5", "free", "１", "9" * 12)),
    ({"cost": "1", "currency": "DOLLAR"}, "invalid_currency"),
]


@pytest.mark.parametrize(("fields", "code"), WRONG)
def test_what_is_wrong_with_a_row_is_said_and_the_others_are_kept(
    line: SendingList, fields: dict[str, str], code: str
) -> None:
    answers = bring(line, row(line, "a"), row(line, "b", **{"provider_id": "v-b"} | fields), row(line, "c"))
    assert outcomes(answers) == ["new", "refused", "new"]
    assert [answer.index for answer in answers] == [0, 1, 2]
    assert (answers[1].code, answers[1].message_id) == (code, "")
    assert answers[1].words.endswith(".")
    assert Message.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"to": "+1 (415) 555-0101"}, {"to": TO}),
        ({"to": "001 415 555 0101"}, {"to": TO}),
        ({"list": "+1 800 555 0142"}, {}),
        ({"list": "18005550142"}, {}),
        ({"sent_at": "2026-11-23 10:00+01:00"}, {"sent_at": NINE}),
        ({"sent_at": "2026-11-23 09:00"}, {"sent_at": NINE}),
        ({"sent_at": NOW.isoformat()}, {"sent_at": NOW}),
        ({"cost": "0,075"}, {"cost": Decimal("0.075"), "cost_currency": "USD"}),
        ({"currency": "not money"}, {"cost": None, "cost_currency": ""}),
    ],
)
def test_rows_are_read_as_people_and_spreadsheets_write_them(
    line: SendingList, fields: dict[str, str], expected: dict[str, Any]
) -> None:
    assert outcomes(bring(line, row(line, **fields))) == ["new"]
    message = Message.objects.get()
    assert {name: getattr(message, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "quoted"),
    [
        ({"list": "First list"}, "'First list'"),
        ({"list": "+19999999999"}, "'+19999999999'"),
        ({"sent_at": "11/23/2026 10:00"}, "'11/23/2026 10:00'"),
        ({"to": "(415) 555-0173"}, "'(415) 555-0173'"),
        ({"to": "a\x1b[31m\u202eb\nc"}, "'a[31mb c'"),
        ({"to": "x" * 1_000}, "'" + "x" * 40 + "…'"),
        ({"cost": "1,234"}, "'1,234'"),
        ({"cost": "1", "currency": "US $"}, "'US $'"),
    ],
)
def test_a_wrong_value_is_quoted_as_it_was_given(line: SendingList, fields: dict[str, str], quoted: str) -> None:
    assert quoted in bring(line, row(line, **fields))[0].words


def test_what_is_wrong_with_a_row_of_a_file_names_its_line(line: SendingList) -> None:
    good = f"a,v-a,{line.id},{TO},2026-11-23T09:00:00Z\n"
    bad = good.replace(TO, "555")
    rows = read_csv(HEAD + f"{good}\n{bad}1,2,3,4,5,6\n".encode(), Sending)
    answers = bring(line, *rows)
    assert [(answer.index, answer.words[:8]) for answer in answers] == [(0, ""), (1, "Line 4: "), (2, "Line 5 h")]
    assert bring(line, row(line, "b", to="555"))[0].words.startswith("'555' is no whole phone number")


def test_a_number_of_several_lists_names_none_of_them(line: SendingList) -> None:
    twin = SendingListFactory(provider_account__account=line.account, number=line.number)
    (answer,) = bring(line, row(line, list=line.number))
    assert answer.code == "list_ambiguous"
    assert outcomes(bring(line, row(line, list=str(twin.id)))) == ["new"]
    assert Message.objects.get().sending_list == twin


def test_equal_ids_of_two_accounts_are_two_messages_and_no_list_of_another_is_found(line: SendingList) -> None:
    stranger = SendingListFactory()
    assert outcomes(bring(stranger, row(stranger))) == ["new"]
    assert outcomes(bring(line, row(line))) == ["new"]
    assert Message.objects.count() == 2
    assert [answer.code for answer in bring(line, row(stranger, "b"))] == ["list_not_found"]


def test_a_thousand_rows_cost_as_many_statements_as_ten_and_one_more_row_is_too_many(line: SendingList) -> None:
    def cost(n: int) -> int:
        rows = [row(line, f"{n}-{k}", to=f"+1415{n:04d}{k:03d}") for k in range(n)]
        with CaptureQueriesContext(connection) as queries:
            assert set(outcomes(bring(line, *rows))) == {"new"}
        return len(queries)

    assert cost(MOST_ROWS) <= cost(10) <= 20
    with pytest.raises(TooManyRows):
        bring(line, *[row(line)] * (MOST_ROWS + 1))


# --- files

HEAD = b"id,provider_id,list,to,sent_at\n"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"a,v-a,7,+14155550101,2026-11-23T09:00:00Z\n",
        b"\xef\xbb\xbf" + HEAD + b'a,v-a,7,"\'+14155550101",2026-11-23T09:00:00Z\r\n',
        HEAD.replace(b",", b";") + b"a;v-a;7; +14155550101 ;2026-11-23T09:00:00Z",
        HEAD.replace(b",", b"\t") + b"a\tv-a\t7\t+14155550101\t2026-11-23T09:00:00Z\n\n\t\t\t\t\n",
        b"Sent At,TO,List,Provider Message ID,External-ID,\n2026-11-23T09:00:00Z,+14155550101,7,v-a,a,\n",
    ],
)
def test_a_file_is_read_as_any_spreadsheet_saves_it(data: bytes) -> None:
    assert read_csv(data, Sending) == [
        Sending(id="a", provider_id="v-a", list="7", to=TO, sent_at="2026-11-23T09:00:00Z")
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"id,to,sent_at\n", "A column is missing: list"),
        (HEAD.replace(b"id,", b"id,The Colour!,", 1), "There is no column 'The Colour!'"),
        (b"id,line,list,to,sent_at\n", "There is no column 'line'"),
        (HEAD.replace(b"provider_id", b"id"), "twice"),
        (b"\xff\xfei\x00d\x00", "UTF-16"),
        (b"id,\xe9", "not UTF-8"),
        (HEAD + b"\x00", "NUL"),
        (b"PK\x03\x04" + b"\x00" * 40, "NUL"),
        (b" " * (MOST_BYTES + 1), "more than 5 MB"),
        (HEAD + b'"' + b"x" * 200_000, "Line 2 cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_to_do(data: bytes, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        read_csv(data, Sending)


def test_a_row_with_too_many_values_stands_in_its_place_with_its_line(line: SendingList) -> None:
    good = f"a,v-a,{line.id},{TO},2026-11-23T09:00:00Z\n".encode()
    rows = read_csv(HEAD + b"1,2,3,4,5,6\n\n" + good, Sending)
    assert isinstance(rows[0], RowError)
    assert "Line 2" in rows[0].words
    assert [(answer.outcome, answer.code) for answer in bring(line, *rows)] == [
        ("refused", "too_many_values"),
        ("new", ""),
    ]


@given(
    data=st.one_of(
        st.binary(max_size=300), st.text(max_size=200).map(lambda text: HEAD + text.encode("utf-8", "ignore"))
    )
)
def test_any_bytes_are_read_or_refused_in_words(data: bytes) -> None:
    try:
        rows = read_csv(data, Sending)
    except BadFile:
        return
    assert all(isinstance(found, Sending | RowError) for found in rows)


def test_of_a_file_of_millions_of_lines_no_more_are_read_than_tell_that_it_is_too_long(line: SendingList) -> None:
    rows = read_csv(b"phone\n" + b"1\n" * 1_000_000, Closing)
    assert len(rows) == MOST_ROWS + 1
    with pytest.raises(TooManyRows):
        import_suppressions(line.account, rows, now=NOW)


# --- numbers to be closed


def test_a_file_closes_numbers_for_a_list_a_brand_or_the_account(line: SendingList) -> None:
    data = f"phone;list;brand;cause\n'{TO};{line.number};;\n{TO};;Acme;asked by mail\n{TO};;;\nnobody;;;\n{TO};1;x;\n"
    answers = import_suppressions(line.account, read_csv(data.encode(), Closing), now=NOW)
    assert [(answer.index, answer.code) for answer in answers] == [
        (0, ""),
        (1, ""),
        (2, ""),
        (3, "invalid_phone"),
        (4, "list_and_brand"),
    ]
    assert Subscription.objects.get().state == "opted_out"
    assert SubscriptionChange.objects.get().origin == "file"
    assert set(Suppression.objects.values_list("brand", "cause", "is_active")) == {
        ("Acme", "asked by mail", True),
        ("", "Imported file", True),
    }
    again = import_suppressions(line.account, read_csv(data.encode(), Closing), now=NOW + timedelta(hours=1))
    assert [answer.code for answer in again] == [answer.code for answer in answers]
    assert (SubscriptionChange.objects.count(), totals()) == (1, {"opt_out": 1})


def test_a_file_of_one_account_closes_no_list_of_another(line: SendingList) -> None:
    stranger = SendingListFactory()
    rows = [Closing(phone=TO, list=str(stranger.id)), Closing(phone=TO, list=stranger.number)]
    assert {answer.code for answer in import_suppressions(line.account, rows, now=NOW)} == {"list_not_found"}
    assert not Contact.objects.exists()
