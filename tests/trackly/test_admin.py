"""Every admin page opens, with rows on it, and evidence cannot be edited."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from sendinglists.models import Echo, SetupStep
from tests import factories
from tests.fakes.twilio import ACCOUNT, API, MESSAGING, Credentials, FakeTwilio
from trackly.models import AuditEntry
from webhooks.inbound.models import InboundRequest

HOSTILE = "<script>alert(1)</script>"
FACTORIES = {
    factory._meta.model: factory
    for factory in vars(factories).values()
    if isinstance(factory, type) and hasattr(factory, "_meta") and factory._meta.model is not None
}
OURS = [
    model
    for model in admin.site._registry
    if model._meta.app_label in {"trackly", "sendinglists", "webhooks", "postbacks"}
]


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def make(model: Any) -> Any:
    concrete = model._meta.concrete_model
    if model._meta.proxy:
        return factories.InboundRequestFactory(state="refused", refusal="bad_signature")
    return FACTORIES[concrete]()


def page(model: Any, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_the_list_and_a_row_of_every_table_open(staff: Client, model: Any) -> None:
    row = make(model)
    listed = staff.get(page(model, "changelist"))
    assert listed.status_code == 200
    assert page(model, "change", row.pk) in listed.text
    assert staff.get(page(model, "change", row.pk)).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_search_for_anything_answers(staff: Client, model: Any) -> None:
    make(model)
    for term in ("zzz", "\x00", "x" * 4000, "%27"):
        assert staff.get(page(model, "changelist"), {"q": term}).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_longer_list_costs_no_more_queries(staff: Client, model: Any, django_assert_max_num_queries: Any) -> None:
    for _ in range(5):
        make(model)
    staff.get(page(model, "changelist"))
    with django_assert_max_num_queries(15):
        staff.get(page(model, "changelist"))


def test_every_table_of_ours_has_a_page() -> None:
    from django.apps import apps

    tables = {
        m
        for label in ("trackly", "sendinglists", "webhooks", "postbacks")
        for m in apps.get_app_config(label).get_models()
    }
    # Steps stand on the page of their provider account; echoes are gone within seconds.
    assert tables - {SetupStep, Echo} <= set(OURS)


@pytest.mark.django_db
def test_evidence_is_read_only(staff: Client) -> None:
    for model in ("inboundrequest", "deliveryevent", "reply", "parkedreport"):
        assert staff.get(reverse(f"admin:webhooks_{model}_add")).status_code == 403
    row = factories.InboundRequestFactory()
    url = page(InboundRequest, "change", row.pk)
    assert staff.post(url, {"state": "done"}).status_code == 403
    assert staff.post(page(InboundRequest, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert InboundRequest.objects.get().state == "waiting"


@pytest.mark.django_db
def test_bytes_of_strangers_are_shown_as_text(staff: Client) -> None:
    row = factories.InboundRequestFactory(
        body=HOSTILE.encode(), query=HOSTILE.encode(), headers=HOSTILE.encode(), outcome=HOSTILE, ids=[HOSTILE]
    )
    conversion = factories.ConversionFactory(
        query=HOSTILE.encode(), click_text=HOSTILE, detail=HOSTILE, event_name=HOSTILE
    )
    for url in (
        page(InboundRequest, "change", row.pk),
        page(InboundRequest, "changelist"),
        page(type(conversion), "change", conversion.pk),
        page(type(conversion), "changelist"),
    ):
        text = staff.get(url).text
        assert HOSTILE not in text
        assert "&lt;script&gt;" in text


@pytest.mark.django_db
def test_replaying_the_selected_requests_is_audited(staff: Client) -> None:
    row = factories.InboundRequestFactory(state="failed", attempts=4, due_at=factories.now().replace(year=2020))
    other = factories.InboundRequestFactory(state="failed", attempts=4)
    url = reverse("admin:webhooks_failedwebhook_changelist")
    answer = staff.post(url, {"action": "replay", "_selected_action": [str(row.uid)]}, follow=True)
    assert "1 request is due again" in answer.text
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("waiting", 0)
    assert InboundRequest.objects.get(uid=other.uid).state == "failed"
    assert AuditEntry.objects.filter(verb="replayed", target=f"request {row.uid}", user__is_staff=True).count() == 1


@pytest.mark.django_db
def test_replaying_all_of_a_filter_leaves_the_others(staff: Client) -> None:
    for _ in range(3):
        factories.InboundRequestFactory(state="failed", slug="twilio")
    factories.InboundRequestFactory(state="failed", slug="infobip")
    first = InboundRequest.objects.filter(slug="twilio").first()
    assert first is not None
    url = reverse("admin:webhooks_failedwebhook_changelist") + "?slug=twilio"
    everything = {"action": "replay", "_selected_action": [str(first.uid)], "select_across": "1"}
    asked = staff.post(url, everything)
    assert "Replay: 3 failed webhooks" in asked.text
    assert not InboundRequest.objects.filter(state="waiting").exists(), "it was done before anybody was sure"
    staff.post(url, everything | {"sure": "yes"})
    assert InboundRequest.objects.filter(state="waiting").count() == 3
    assert InboundRequest.objects.get(slug="infobip").state == "failed"
    assert AuditEntry.objects.filter(verb="replayed").count() == 3


@pytest.mark.django_db
def test_discarding_demands_a_reason_and_keeps_it(staff: Client) -> None:
    row = factories.InboundRequestFactory(state="failed")
    url = reverse("admin:webhooks_failedwebhook_changelist")
    chosen = {"action": "discard", "_selected_action": [str(row.uid)]}
    assert 'name="reason"' in staff.post(url, chosen).text
    row.refresh_from_db()
    assert row.state == "failed"
    staff.post(url, chosen | {"reason": "test traffic of the vendor"})
    row.refresh_from_db()
    assert (row.state, row.outcome) == ("discarded", "Discarded: test traffic of the vendor")
    assert AuditEntry.objects.get(verb="discarded").detail == "test traffic of the vendor"


@pytest.mark.django_db
def test_staff_without_the_permission_may_look_but_not_replay(client: Client) -> None:
    from django.contrib.auth.models import Permission

    person = factories.UserFactory(is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_failedwebhook"))
    client.force_login(person)
    row = factories.InboundRequestFactory(state="failed")
    url = reverse("admin:webhooks_failedwebhook_changelist")
    assert client.get(url).status_code == 200
    client.post(url, {"action": "replay", "_selected_action": [str(row.uid)]})
    row.refresh_from_db()
    assert row.state == "failed"


@pytest.fixture
def twilio(settings: Any) -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        settings.OUTGOING_ROUTES = {API: fake.url, MESSAGING: fake.url}
        fake.accounts = {ACCOUNT: Credentials(token="first-token")}
        yield fake


@pytest.mark.django_db
def test_credentials_are_entered_once_and_never_shown(staff: Client, twilio: FakeTwilio) -> None:
    account = factories.AccountFactory()
    add = reverse("admin:sendinglists_provideraccount_add")
    answer = staff.post(
        add,
        {
            "account": account.id,
            "provider": "twilio",
            "name": "Main",
            "demands_authentication": "on",
            "address_policy": "off",
        },
    )
    assert answer.status_code == 302
    fields = {"name": "Main", "demands_authentication": "on", "address_policy": "off"}
    entered = {"setting_account_sid": ACCOUNT, "setting_auth_token": "first-token"}
    assert staff.post(answer["Location"], fields | entered).status_code == 302
    row = account.provideraccount_set.get()
    assert row.credentials == [{"values": {"account_sid": ACCOUNT, "auth_token": "first-token"}, "until": None}]
    assert row.vendor_account == ACCOUNT
    shown = staff.get(answer["Location"]).text
    assert ACCOUNT in shown
    assert "first-token" not in shown
    # An empty secret keeps the one stored.
    staff.post(answer["Location"], fields | entered | {"setting_auth_token": ""})
    row.refresh_from_db()
    assert row.credentials[0]["values"]["auth_token"] == "first-token"
    twilio.accounts = {ACCOUNT: Credentials(token="second-token")}
    rotation = {"setting_auth_token": "second-token", "keep_old_until": "2999-01-01 00:00:00"}
    staff.post(answer["Location"], fields | entered | rotation)
    row.refresh_from_db()
    assert [entry["values"]["auth_token"] for entry in row.credentials] == ["second-token", "first-token"]
    assert AuditEntry.objects.filter(verb="changed", target=f"provider account {row.pk}").exists()


@pytest.mark.django_db
def test_a_new_connection_gets_a_url_that_works(staff: Client, client: Client) -> None:
    account = factories.AccountFactory()
    add = reverse("admin:postbacks_networkconnection_add")
    values = {
        "account": account.id, "network": "tune", "name": "TUNE", "status_words": "{}", "duplicate_rule": "ignore",
        "duplicate_window": "00:10:00", "attribution_window": "90 00:00:00", "address_policy": "off",
    }  # fmt: skip
    assert staff.post(add, values).status_code == 302
    connection = account.networkconnection_set.get()
    page_url = reverse("admin:postbacks_networkconnection_change", args=[connection.pk])
    assert connection.postback_token not in staff.get(page_url).text
    staff.post(page_url.removesuffix("change/") + "do/reveal/")
    shown = staff.get(page_url).text
    found = re.search(r"/api/postbacks/tune/[a-z2-7]{26}", shown)
    assert found is not None
    answer = client.get(found.group() + "?click_id=abc&payout=1")
    assert answer.text.startswith("Stored: click abc")
    assert InboundRequest.objects.get().party_id == connection.id


@pytest.mark.django_db
def test_accepting_a_held_hit_lets_it_count_once(staff: Client) -> None:
    click = factories.ClickFactory()
    click.offer.ceiling = 10
    click.offer.save()
    client = Client()
    client.get(f"/api/postbacks/tune?click_id={click.click_id}&payout=42")
    from trackly.management.commands import work

    work.work(factories.now())
    hit = click.conversion_set.get()
    assert (hit.verdict, hit.kind) == ("held", "")
    url = reverse("admin:postbacks_conversion_changelist")
    for _ in range(2):
        staff.post(url, {"action": "accept", "_selected_action": [hit.pk]})
    hit.refresh_from_db()
    assert (hit.verdict, hit.kind, hit.payout) == ("recorded", "conversion", 42)
    assert AuditEntry.objects.filter(verb="accepted", target=f"conversion {hit.pk}").exists()


@pytest.mark.django_db
def test_opt_outs_without_proof_are_undone_in_bulk_and_proven_ones_are_not(staff: Client) -> None:
    import json

    party = factories.ProviderAccountFactory(demands_authentication=False)
    sending_list = factories.SendingListFactory(provider_account=party)
    stop = {"type": "reply", "to": sending_list.number, "text": "STOP"}
    open_url = f"/api/webhook-feedbacks/sandbox?account={party.account.public_id}"
    for url, phone in (
        (open_url, "+14155550101"),
        (f"/api/webhook-feedbacks/sandbox/{party.callback_token}", "+14155550102"),
    ):
        body = json.dumps(stop | {"id": phone, "from": phone})
        assert Client().post(url, body, content_type="application/json").status_code == 200
    from trackly.management.commands import work

    work.work(factories.now())
    ids = list(sending_list.subscription_set.values_list("subscriptionchange__id", flat=True))
    url = reverse("admin:sendinglists_subscriptionchange_changelist")
    answer = staff.post(url, {"action": "undo", "_selected_action": ids}, follow=True)
    assert "1 opt-out was undone" in answer.text
    states = dict(sending_list.subscription_set.values_list("contact__phone", "state"))
    assert states == {"+14155550101": "subscribed", "+14155550102": "opted_out"}
    assert AuditEntry.objects.filter(verb="undid").count() == 1


@pytest.mark.django_db
def test_old_credentials_promised_until_a_date_survive_a_later_edit_and_can_be_withdrawn(staff: Client) -> None:
    kept = {"values": {"signing_key": "old"}, "until": "2999-01-01T00:00:00+00:00"}
    row = factories.ProviderAccountFactory(credentials=[{"values": {"signing_key": "new"}, "until": None}, kept])
    url = reverse("admin:sendinglists_provideraccount_change", args=[row.pk])
    fields = {
        "name": "Renamed",
        "demands_authentication": "on",
        "address_policy": "off",
        "setting_signing_key": "newer",
    }
    assert staff.post(url, fields).status_code == 302
    row.refresh_from_db()
    assert row.credentials == [{"values": {"signing_key": "newer"}, "until": None}, kept]
    assert "2999-01-01" in staff.get(url).text
    staff.post(url, fields | {"setting_signing_key": "", "withdraw_old": "on"})
    row.refresh_from_db()
    assert row.credentials == [{"values": {"signing_key": "newer"}, "until": None}]


@pytest.mark.django_db
def test_old_credentials_cannot_be_kept_until_a_moment_that_is_past(staff: Client) -> None:
    row = factories.ProviderAccountFactory()
    url = reverse("admin:sendinglists_provideraccount_change", args=[row.pk])
    fields = {"name": "N", "address_policy": "off", "keep_old_until": "2020-01-01 00:00:00"}
    assert "This moment is past" in staff.post(url, fields).text


@pytest.mark.django_db
def test_a_connection_not_yet_saved_shows_no_postback_url(staff: Client) -> None:
    assert "/api/postbacks/" not in staff.get(reverse("admin:postbacks_networkconnection_add")).text


@pytest.mark.django_db
@pytest.mark.parametrize(("field", "value"), [("currency", "ZZZ"), ("time_zone", "Mars"), ("payout_ceiling", "-4")])
def test_an_account_takes_no_setting_that_would_stop_its_money(staff: Client, field: str, value: str) -> None:
    account = factories.AccountFactory()
    good = {"name": "A", "status": "active", "currency": "EUR", "time_zone": "Europe/Berlin", "payout_ceiling": "100"}
    url = reverse("admin:trackly_account_change", args=[account.pk])
    assert staff.post(url, good | {field: value}).status_code == 200
    account.refresh_from_db()
    assert (account.currency, account.time_zone, account.payout_ceiling) == ("USD", "UTC", 10_000)
    assert staff.post(url, good).status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [("currency", "ZZZ"), ("time_zone", "Mars/Base"), ("attribution_window", "-5"), ("click_parameter", "a b&c=?")],
)
def test_a_connection_takes_no_setting_that_makes_no_sense(staff: Client, field: str, value: str) -> None:
    connection = factories.NetworkConnectionFactory()
    url = reverse("admin:postbacks_networkconnection_change", args=[connection.pk])
    good = {
        "name": "N", "status_words": "{}", "duplicate_rule": "ignore", "duplicate_window": "00:10:00",
        "attribution_window": "90 00:00:00", "address_policy": "off",
    }  # fmt: skip
    assert staff.post(url, good | {field: value}).status_code == 200
    assert staff.post(url, good).status_code == 302


@pytest.mark.django_db
def test_a_token_is_not_rotated_away_from_under_the_one_that_is_still_promised(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    url = reverse("admin:sendinglists_provideraccount_change", args=[party.pk]).removesuffix("change/") + "do/rotate/"
    assert "stays valid for 24 hours" in staff.post(url, follow=True).text
    party.refresh_from_db()
    rotated = party.callback_token
    assert "only one can be" in staff.post(url, follow=True).text
    party.refresh_from_db()
    assert party.callback_token == rotated


@pytest.mark.django_db
def test_what_a_request_came_to_before_a_replay_stays_told(staff: Client) -> None:
    row = factories.InboundRequestFactory(
        state="refused", refusal="bad_signature", outcome="Neither a token nor a signature.", answer_status=403
    )
    url = page(InboundRequest, "change", row.pk)
    staff.post(url.removesuffix("change/") + "do/replay/")
    shown = staff.get(url).text
    assert "answered 403, and due again by a replay" in shown
    assert "It was refused: Neither a token nor a signature." in shown


@pytest.mark.django_db
def test_an_address_range_is_of_a_sender_there_is_and_not_of_half_the_world(staff: Client) -> None:
    add = reverse("admin:trackly_addressrange_add")
    for wrong in ({"slug": "nobody", "cidr": "203.0.113.7"}, {"slug": "sandbox", "cidr": "0.0.0.0/0"}):
        assert staff.post(add, wrong).status_code == 200
    assert staff.post(add, {"slug": "sandbox", "cidr": "203.0.113.7"}).status_code == 302
