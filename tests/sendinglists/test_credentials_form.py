"""The form of a provider account as staff use it: credentials tried before they are kept, numbers ticked, secrets guarded."""

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sendinglists.hosts import base_url
from sendinglists.models import ProviderAccount, SendingList
from tests import factories
from tests.fakes.acme import HOME, KEY, OURS, SECOND, SETTINGS, FakeAcme
from tests.fakes.server import Fault
from trackly.models import AuditEntry

pytestmark = pytest.mark.django_db
Work = Callable[..., int]
EU = "https://eu.api.acme.example"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def page(row: ProviderAccount) -> str:
    return reverse("admin:sendinglists_provideraccount_change", args=[row.pk])


def act(staff: Client, row: ProviderAccount, verb: str, word: str = "") -> str:
    return staff.post(f"{page(row).removesuffix('change/')}do/{verb}/", {"word": word}, follow=True).text


def save(staff: Client, row: ProviderAccount, **changes: Any) -> str:
    fields = {"name": "N", "demands_authentication": "on", "address_policy": "off", "setting_base_url": HOME}
    text = staff.post(page(row), fields | changes, follow=True).text
    row.refresh_from_db()
    return text


def fresh(**fields: Any) -> ProviderAccount:
    row: ProviderAccount = factories.ProviderAccountFactory(provider="acme", credentials=[], **fields)
    return row


def held(**settings: str) -> ProviderAccount:
    row: ProviderAccount = factories.ProviderAccountFactory(provider="acme", settings=SETTINGS | settings)
    return row


# --- tried before they are kept


def test_good_credentials_are_kept_and_configured_and_what_the_provider_says_is_told(
    staff: Client, acme: FakeAcme, work_through: Work
) -> None:
    row = fresh()
    text = save(staff, row, setting_key=KEY)
    assert "Acme knows you." in text
    assert "It is a trial." in text
    assert row.settings["key"] == KEY
    assert [item["name"] for item in row.numbers] == ["Main line", ""]
    assert (row.check_cause, row.checked_at is not None) == ("", True)
    assert row.webhook_state == "working"
    work_through()
    row.refresh_from_db()
    assert row.webhook_state == "configured"


def test_credentials_the_provider_does_not_take_are_not_kept(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    text = save(staff, row, setting_key="a wrong key")
    assert "Acme does not take this key; copy it again from its console. Nothing was saved." in text
    assert "type it once more: Key." in text
    assert text.index("Nothing was saved.") < text.index("tk-story")
    assert "a wrong key" not in text
    assert "Save all the same" not in text
    assert (row.credentials, row.webhook_state) == ([], "unset")


def test_only_where_the_provider_cannot_be_asked_they_may_be_kept_all_the_same(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    assert "Save all the same" not in staff.get(page(row)).text
    acme.faults.append(Fault(kind="drop_before"))
    text = save(staff, row, setting_key=KEY)
    assert "Acme did not answer." in text
    assert "Nothing is wrong with your credentials as far as we know" in text
    assert "or switch on 'Save all the same' at the end of this form" in html.unescape(text)
    assert row.credentials == []
    acme.faults.append(Fault(kind="drop_before"))
    text = save(staff, row, setting_key=KEY, save_unchecked="on")
    assert row.settings["key"] == KEY
    assert row.checked_at is None
    assert "The credentials: not checked when they were saved. Acme did not answer." in text


def test_what_no_field_is_wrong_about_is_said_once(staff: Client, acme: FakeAcme) -> None:
    text = save(staff, fresh(), setting_key="wrong")
    assert text.count("Acme does not take this key") == 1
    assert "Please correct the error" not in text
    # A field that is wrong is still marked.
    assert "Please correct the error" in save(staff, fresh())


def test_without_credentials_nothing_is_configured_and_what_is_missing_is_said(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    assert "Enter the credentials first: Key." in act(staff, row, "configure")
    row.refresh_from_db()
    assert (row.webhook_state, row.setup_task, AuditEntry.objects.count()) == ("unset", "", 0)
    text = staff.get(page(row)).text
    assert "Its credentials are not entered yet (Key)" in text
    # Empty tables do not stand above the form.
    assert "Its sending lists" not in text


def test_an_account_that_waits_for_its_first_list_says_so_when_it_is_to_be_configured(staff: Client) -> None:
    row = factories.ProviderAccountFactory(provider="twilio", settings={"account_sid": "AC1", "auth_token": "t"})
    assert act(staff, row, "configure").count("It waits for its first list") == 2


def test_the_demand_of_proof_is_explained_both_ways(staff: Client) -> None:
    text = staff.get(page(fresh(name="N"))).text
    assert "On: only proven requests count. Off: opt-outs" in text


def test_wrong_credentials_are_not_kept_whatever_is_ticked(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    save(staff, row, setting_key="wrong", save_unchecked="on")
    assert row.credentials == []


def test_what_is_needed_is_asked_for_before_the_provider_is(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    assert "This is needed." in save(staff, row)
    assert (row.credentials, acme.requests) == ([], [])


def test_a_new_name_asks_nobody_and_configures_nothing(staff: Client, acme: FakeAcme) -> None:
    row = held()
    ProviderAccount.objects.filter(pk=row.pk).update(webhook_state="configured")
    save(staff, row, name="Renamed")
    assert (row.name, acme.requests, row.setup_task) == ("Renamed", [], "")


def test_a_save_leaves_what_a_worker_wrote_meanwhile(
    staff: Client, acme: FakeAcme, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = held()
    ProviderAccount.objects.filter(pk=row.pk).update(webhook_state="configured")
    before = ProviderAccount.save

    def save_later(self: ProviderAccount, **kwargs: Any) -> None:
        ProviderAccount.objects.filter(pk=self.pk).update(webhook_state="failed", webhook_state_cause="meanwhile")
        before(self, **kwargs)

    monkeypatch.setattr(ProviderAccount, "save", save_later)
    save(staff, row, name="Renamed")
    assert (row.name, row.webhook_state_cause) == ("Renamed", "meanwhile")


# --- minted values


def test_a_minted_value_is_made_once_kept_and_renewed_on_demand(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    save(staff, row, setting_key=KEY)
    first = row.settings["password"]
    assert re.fullmatch("[a-z2-7]{26}", first)
    save(staff, row, name="Renamed")
    assert row.settings["password"] == first
    save(staff, row, renew="on", keep_old_until="2999-01-01 00:00:00")
    assert row.settings["password"] != first
    assert row.credentials[1]["values"]["password"] == first
    assert (row.settings["key"], row.webhook_state) == (KEY, "working")
    other = fresh()
    save(staff, other, setting_key=KEY)
    assert other.settings["password"] not in (first, row.settings["password"])


def test_a_minted_value_may_be_chosen(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    save(staff, row, setting_key=KEY, setting_password="mine")
    assert row.settings["password"] == "mine"


def test_the_sandbox_is_set_up_by_saving_it(staff: Client) -> None:
    row = factories.ProviderAccountFactory(credentials=[])
    text = save(staff, row)
    assert "The sandbox of this machine." in text
    assert (len(row.settings["signing_key"]), row.webhook_state) == (26, "configured")


# --- the host


def test_another_host_demands_every_stored_secret_again(staff: Client, acme: FakeAcme) -> None:
    row = held()
    text = save(staff, row, setting_base_url=EU)
    assert "a stored secret is not sent to another host" in text
    assert (row.settings, acme.requests) == (SETTINGS, [])
    text = save(staff, row, setting_base_url=EU, setting_key=KEY)
    assert row.settings["base_url"] == EU
    assert row.settings["password"] != SETTINGS["password"]


@pytest.mark.parametrize("same", [HOME, f"{HOME}/", "HTTPS://API.ACME.EXAMPLE", "api.acme.example"])
def test_the_same_host_in_another_spelling_demands_nothing(staff: Client, acme: FakeAcme, same: str) -> None:
    row = held()
    save(staff, row, setting_base_url=same, name="Renamed")
    assert (row.settings, row.name) == (SETTINGS, "Renamed")


def test_what_a_foreign_host_answers_is_never_shown_nor_asked_for(staff: Client, acme: FakeAcme) -> None:
    row = fresh()
    text = save(staff, row, setting_base_url="https://evil.example", setting_key=KEY)
    assert "evil.example is not a host of this provider" in text
    assert acme.requests == []
    text = save(staff, row, setting_key="wrong")
    assert "what a foreign host says" not in text


HOSTS = ("api.acme.example", "*.api.acme.example")


@pytest.mark.parametrize("wrong", [
    "http://x.api.acme.example", "https://evilapi.acme.example", "https://api.acme.example.evil.example",
    "https://acme.example", "https://.api.acme.example", "https://x..api.acme.example", "https://api.acme.example.",
    "https://evil.example/x.api.acme.example", "https://evil.example?x.api.acme.example",
    "https://evil.example#x.api.acme.example", "https://evil.example\\x.api.acme.example",
    "https://x.api.acme.example@evil.example", "https://user:pass@x.api.acme.example",
    "https://x.api.acme.example:8443", "https://x.api.acme.example/v1", "https://x.api.acme.example/?q",
    "https://x.api.acme.example\n.evil.example", "https://evil.example\t.api.acme.example", "//x.api.acme.example",
    "https:/x.api.acme.example", "https://x.api.acme.example%2eevil.example", "https://x\u3002api.acme.example",
    "https://ｘ.api.acme.example", "https://-.api.acme.example", "", "ftp://x.api.acme.example", "javascript:alert(1)",
    "https://[::1]", "https://127.0.0.1",
])  # fmt: skip
def test_no_trick_makes_a_foreign_host_ours(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"address|is not a host"):
        base_url(wrong, HOSTS)


@pytest.mark.parametrize(("text", "host"), [
    ("https://api.acme.example", "api.acme.example"), ("https://X1y2.api.acme.example/", "x1y2.api.acme.example"),
    ("a.b.api.acme.example", "a.b.api.acme.example"), (" https://x-1.api.acme.example ", "x-1.api.acme.example"),
])  # fmt: skip
def test_a_host_of_the_provider_is_kept_in_one_spelling(text: str, host: str) -> None:
    assert base_url(text, HOSTS) == f"https://{host}"


def test_a_host_that_is_not_ones_own_is_answered_with_where_to_find_it(staff: Client) -> None:
    row = factories.ProviderAccountFactory(provider="infobip", credentials=[])
    text = save(staff, row, setting_base_url="https://api.infobip.com", setting_api_key="k")
    told = "Use your own base URL, such as https://xxxxx.api.infobip.com, from the portal&#x27;s home page."
    place = text.index("api.infobip.com is not a host of this provider.")
    assert text.index(told, place) < text.index("PROVIDER_HOSTS", place)


def test_a_wildcard_does_not_cover_its_own_stem() -> None:
    with pytest.raises(ValueError, match="is not a host"):
        base_url("https://api.acme.example", ["*.api.acme.example"])


def test_a_setting_allows_more_hosts(staff: Client, acme: FakeAcme, settings: Any) -> None:
    settings.PROVIDER_HOSTS = ["*.gateway.example"]
    settings.OUTGOING_ROUTES |= {"https://sms.gateway.example": acme.url}
    row = fresh()
    save(staff, row, setting_base_url="https://sms.gateway.example", setting_key=KEY)
    assert row.settings["base_url"] == "https://sms.gateway.example"


# --- numbers


def test_numbers_the_provider_lists_are_ticked_and_become_lists(
    staff: Client, acme: FakeAcme, work_through: Work
) -> None:
    row = fresh()
    text = save(staff, row, setting_key=KEY)
    assert f"{OURS} (Main line)" in text
    text = save(staff, row, add_numbers=[OURS, SECOND])
    assert "2 sending lists made." in text
    assert set(row.sendinglist_set.values_list("number", "name")) == {(OURS, "Main line"), (SECOND, SECOND)}
    assert f'value="{OURS}"' not in text
    work_through()
    assert set(acme.hooks) == {"account", OURS, SECOND}
    assert {item.account_id for item in row.sendinglist_set.all()} == {row.account_id}


def test_what_a_provider_calls_a_number_is_read_and_never_acts(staff: Client, acme: FakeAcme) -> None:
    acme.numbers = [{"number": OURS, "name": "<script>alert(1)</script>\u202e" + "x" * 300}]
    row = fresh()
    text = save(staff, row, setting_key=KEY)
    assert "<script>alert(1)" not in text
    assert "\u202e" not in text
    save(staff, row, add_numbers=[OURS])
    assert len(row.sendinglist_set.get().name) == 100


def test_a_number_the_provider_did_not_list_cannot_be_ticked(staff: Client, acme: FakeAcme) -> None:
    row = held()
    save(staff, row, add_numbers=["+18005550199"])
    assert not SendingList.objects.exists()


def test_numbers_are_typed_where_they_are_not_listed(staff: Client, acme: FakeAcme) -> None:
    row = held()
    save(staff, row, more_numbers="+1 (800) 555-0142\r\n\r\n 0018005550143 \r\n72345\r\n72345")
    assert list(row.sendinglist_set.order_by("id").values_list("number", flat=True)) == [OURS, SECOND, "72345"]


@pytest.mark.parametrize(
    "wrong", ["18005550142", "12", "ACME", "+", "+1", "+999999999999999999", "123456789", "٣٤٥٦", "+1800\x00"]
)
def test_what_is_no_number_is_named_and_nothing_is_made(staff: Client, acme: FakeAcme, wrong: str) -> None:
    row = held()
    text = save(staff, row, more_numbers=f"+18005550142\n{wrong}")
    assert "is no number: write it with +" in text or "Null characters" in text
    assert not SendingList.objects.exists()


def test_a_list_goes_with_its_own_accounts_credentials(staff: Client, acme: FakeAcme) -> None:
    row, other = held(), factories.AccountFactory(name="Other")
    fields = {
        "account": other.pk, "provider_account": row.pk, "name": "L", "number": OURS, "status": "active",
        "opt_out_scope": "list", "messages_per_minute": 60,
    }  # fmt: skip
    add = reverse("admin:sendinglists_sendinglist_add")
    assert "These credentials belong to" in staff.post(add, fields).text
    assert staff.post(add, fields | {"account": row.account_id}).status_code == 302
    row.refresh_from_db()
    assert (row.sendinglist_set.count(), row.setup_task) == (1, "configure")
    ProviderAccount.objects.update(setup_task="", webhook_state="configured")
    [made] = SendingList.objects.all()
    change = reverse("admin:sendinglists_sendinglist_change", args=[made.pk])
    rest = {"name": "L2", "status": "active", "opt_out_scope": "list", "messages_per_minute": 60, "number": SECOND}
    staff.post(change, rest)
    row.refresh_from_db()
    made.refresh_from_db()
    assert (made.name, made.number, row.setup_task) == ("L2", OURS, "")
    staff.post(change, rest | {"status": "deleted"})
    row.refresh_from_db()
    assert row.setup_task == "configure"


# --- acts


def test_the_page_shows_every_step_with_its_outcome(staff: Client, acme: FakeAcme, work_through: Work) -> None:
    row = held()
    assert "Being configured: the steps stand below" in act(staff, row, "configure")
    text = staff.get(page(row)).text
    assert "Hook of account" in text
    assert "Not done yet" in text
    acme.is_by_hand = True
    work_through()
    text = staff.get(page(row)).text
    assert "Waiting for the first callback" in text
    assert "Acme wants it by hand." in text
    assert "Paste the URL in its console." in text
    assert row.callback_token not in text
    assert f"https://hooks.example.com/api/webhook-feedbacks/acme/{row.callback_token[:4]}" in text
    assert row.callback_token in act(staff, row, "reveal")


def test_retiring_must_be_meant(staff: Client, acme: FakeAcme, work_through: Work) -> None:
    row = held()
    factories.SendingListFactory(provider_account=row, number=OURS)
    act(staff, row, "configure")
    work_through()
    assert "choose that you are sure" in act(staff, row, "remove")
    assert "It is retired" in act(staff, row, "remove", "yes")
    work_through()
    row.refresh_from_db()
    assert (row.webhook_state, acme.hooks) == ("removed", {})
    assert "It is retired" in act(staff, row, "configure")
    assert AuditEntry.objects.filter(verb="retired", target=f"provider account {row.pk}").count() == 1
    text = staff.get(page(row)).text
    assert "More numbers" not in text


def test_asking_again_refreshes_the_numbers(staff: Client, acme: FakeAcme) -> None:
    row = held()
    acme.numbers = [{"number": "+18005550150", "name": "New"}]
    text = act(staff, row, "check")
    assert "Acme knows you." in text
    assert "+18005550150 (New)" in text
    ProviderAccount.objects.filter(pk=row.pk).update(
        credentials=[{"values": SETTINGS | {"key": "revoked"}, "until": None}]
    )
    assert "Acme does not take this key" in act(staff, row, "check")
    row.refresh_from_db()
    assert "Acme does not take this key" in row.check_cause


def test_rotating_configures_by_itself_and_keeps_the_former_token(
    staff: Client, acme: FakeAcme, work_through: Work
) -> None:
    row = held()
    act(staff, row, "configure")
    work_through()
    former = row.callback_token
    assert "the old one stays valid for 24 hours" in act(staff, row, "rotate")
    work_through()
    row.refresh_from_db()
    assert row.callback_token != former
    assert acme.hooks["account"]["url"].endswith(row.callback_token)
    assert row.previous_token_until is not None
    assert row.previous_token_until > factories.now() + timedelta(hours=23)


def test_every_act_is_audited_and_needs_the_permission(acme: FakeAcme, client: Client) -> None:
    from tests.trackly.admin_rows import person

    row = held()
    client.force_login(person("view_provideraccount"))
    for verb in ("configure", "check", "remove", "rotate"):
        assert "needs the permission to change provider accounts" in act(client, row, verb, "yes")
    assert acme.requests == []
    client.force_login(person("view_provideraccount", "change_provideraccount"))
    for verb in ("configure", "check", "rotate", "remove"):
        act(client, row, verb, "yes")
    verbs = AuditEntry.objects.filter(target=f"provider account {row.pk}").order_by("id").values_list("verb", flat=True)
    assert list(verbs) == [
        "configured the webhooks of", "checked the credentials of", "rotated the token of", "retired",
    ]  # fmt: skip
