"""Credentials as an account's people add, look at and change them."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from sendinglists.models import ProviderAccount, SendingList
from tests import factories
from tests.fakes.acme import HOME, KEY, OURS, SECOND, SETTINGS, Acme, FakeAcme
from tests.fakes.server import Fault
from tests.pages.conftest import Person
from tests.sendinglists.conftest import perform
from trackly.models import Account, AuditEntry
from webhooks import providers

pytestmark = pytest.mark.django_db
State = ProviderAccount.WebhookState


@pytest.fixture
def acme(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAcme]:
    """A provider more, whose calls go to a server on loopback, as do those to our own address."""
    monkeypatch.setitem(providers.all_providers(), "acme", Acme())
    with FakeAcme() as fake:
        settings.OUTGOING_ROUTES = {HOME: fake.url, "https://hooks.example.com": fake.url}
        yield fake


@pytest.fixture
def held(account: Account) -> Callable[..., ProviderAccount]:
    def make(**fields: Any) -> ProviderAccount:
        row: ProviderAccount = factories.ProviderAccountFactory(
            account=account, provider="acme", settings=SETTINGS, **fields
        )
        return row

    return make


def work_through() -> None:
    while perform(factories.now() + timedelta(seconds=1)):
        pass


def add(person: Person, **typed: str) -> Any:
    fields = {"name": "Ours", "setting_base_url": HOME, "setting_key": KEY} | typed
    return person.client.post(f"{person.url('credentials_new')}?provider=acme", fields)


# --- adding


def test_every_provider_is_offered_with_what_must_be_at_hand(owner: Person, acme: FakeAcme) -> None:
    text = owner.get("list_new").text
    assert "Have at hand: Key." in text
    assert 'href="https://acme.example"' in text
    assert "Sandbox" in text


def test_the_sandbox_is_offered_only_where_it_is_switched_on(owner: Person, settings: Any) -> None:
    settings.SANDBOX_ENABLED = False
    assert "Sandbox" not in owner.get("list_new").text
    assert owner.client.get(f"{owner.url('credentials_new')}?provider=sandbox").status_code == 302


def test_a_member_is_told_why_he_cannot_add(member: Person, acme: FakeAcme) -> None:
    text = member.get("list_new").text
    assert "Only an owner of this account adds lists and credentials" in text
    assert member.url("credentials_new") not in text
    assert add(member).status_code == 403
    assert acme.requests == []


def test_credentials_are_tried_kept_and_lead_on_to_the_numbers(owner: Person, acme: FakeAcme) -> None:
    answer = add(owner)
    row = ProviderAccount.objects.get()
    assert answer["Location"] == owner.url("credentials_numbers", row.pk)
    assert (row.account, row.settings["key"], row.name) == (owner.account, KEY, "Ours")
    assert row.checked_at is not None
    text = owner.client.get(answer["Location"]).text
    assert "Acme knows you." in text
    assert f"{OURS}" in text
    assert AuditEntry.objects.get().verb == "added"


def test_wrong_credentials_are_said_and_nothing_is_lost_but_the_secret(owner: Person, acme: FakeAcme) -> None:
    text = add(owner, setting_key="a wrong key", name="My own name").text
    assert "Acme does not take this key; copy it again from its console. Nothing was saved." in text
    assert 'value="My own name"' in text
    assert "a wrong key" not in text
    assert not ProviderAccount.objects.exists()


def test_what_cannot_be_tried_may_be_kept_all_the_same(owner: Person, acme: FakeAcme) -> None:
    page = f"{owner.url('credentials_new')}?provider=acme"
    assert "save_unchecked" not in owner.client.get(page).text
    acme.faults.append(Fault(kind="drop_before"))
    assert "save_unchecked" in add(owner).text
    assert not ProviderAccount.objects.exists()
    acme.faults.append(Fault(kind="drop_before"))
    add(owner, save_unchecked="on")
    assert ProviderAccount.objects.get().settings["key"] == KEY


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_provider_is_asked(
    owner: Person, acme: FakeAcme, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    from sendinglists import setup

    before = setup.check
    monkeypatch.setattr(setup, "check", lambda *given: (seen.append(connection.in_atomic_block), before(*given))[1])
    add(owner)
    assert seen == [False]


def test_numbers_become_lists_with_their_names_and_brands(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held(numbers=[{"number": OURS, "name": "Main line", "can_receive": True}])
    fields = {f"take_{OURS}": "on", f"name_{OURS}": "Autumn", f"brand_{OURS}": "Shop", "take_typed1": "72345"}
    answer = owner.client.post(owner.url("credentials_numbers", row.pk), fields)
    assert answer["Location"] == f"{owner.url('credentials', row.pk)}?made=1"
    assert "send a test message: choose the list below" in owner.client.get(answer["Location"]).text
    made = SendingList.objects.order_by("id").values_list("number", "name", "brand", "account")
    assert list(made) == [(OURS, "Autumn", "Shop", owner.account.pk), ("72345", "72345", "", owner.account.pk)]
    row.refresh_from_db()
    assert row.webhook_state == State.WORKING


def test_a_number_that_is_none_is_named_and_what_was_typed_stays(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    page = owner.url("credentials_numbers", row.pk)
    text = owner.client.post(page, {"take_typed1": "12", "name_typed1": "Kept"}).text
    assert "is no number: write it with +" in text
    assert 'value="Kept"' in text
    assert "Choose a number, or type one." in owner.client.post(page, {}).text
    assert not SendingList.objects.exists()


def test_a_deleted_number_that_is_added_again_is_the_same_list(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    gone = factories.SendingListFactory(provider_account=row, number=OURS, status="deleted", brand="Shop")
    owner.client.post(owner.url("credentials_numbers", row.pk), {"take_typed1": OURS})
    gone.refresh_from_db()
    assert (gone.status, gone.brand, SendingList.objects.count()) == ("active", "Shop", 1)


# --- the webhook panel


def test_the_panel_asks_again_only_while_something_is_under_way(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    factories.SendingListFactory(provider_account=row, number=OURS)
    owner.post("credentials_configure", row.pk)
    text = owner.get("credentials", row.pk).text
    assert "Hook of account" in text
    [again] = re.findall(r'hx-get="([^"]*)" hx-trigger="every 1s"', text)
    work_through()
    part = owner.client.get(again, headers={"HX-Request": "true"}).text
    assert part.count('data-step="done"') == 2
    assert "hx-get" not in part
    assert "<html" not in part


def test_a_forgotten_page_stops_asking_after_a_quarter_of_an_hour(
    owner: Person, held: Callable[..., ProviderAccount]
) -> None:
    row = held(webhook_state=State.BY_HAND)
    past = int(factories.now().timestamp()) - 1
    assert "hx-get" in owner.get("credentials", row.pk).text.split("url-title")[0]
    part = owner.client.get(owner.url("credentials", row.pk), {"until": past}, headers={"HX-Request": "true"}).text
    assert "hx-get" not in part


@pytest.mark.parametrize("until", ["", "x", "-1", "9" * 12, "9" * 40, "٣"])
def test_what_a_live_part_asks_with_is_never_believed_beyond_its_time(
    owner: Person, held: Callable[..., ProviderAccount], until: str
) -> None:
    row = held(webhook_state=State.BY_HAND)
    part = owner.client.get(owner.url("credentials", row.pk), {"until": until}, headers={"HX-Request": "true"}).text
    [carried] = re.findall(r"until=(\d+)", part)
    assert int(carried) <= factories.now().timestamp() + 15 * 60


def test_what_is_done_by_hand_is_told_with_the_url_to_copy(
    owner: Person, viewer: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    acme.is_by_hand = True
    owner.post("credentials_configure", row.pk)
    work_through()
    text = owner.get("credentials", row.pk).text
    assert "Paste the URL in its console." in text
    assert f'data-copy="https://hooks.example.com/api/webhook-feedbacks/acme/{row.callback_token}"' in text
    assert "One thing is left to you" in text
    seen = viewer.get("credentials", row.pk).text
    assert row.callback_token not in seen
    assert f"{row.callback_token[:4]}•" in seen


def test_refused_callbacks_of_the_day_stand_beside_the_last_call(
    owner: Person, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    fields = {"slug": "acme", "party_id": row.pk, "account_id": row.account_id}
    factories.RequestTotalFactory(standing="bad_signature", n=7, **fields)
    factories.RequestTotalFactory(standing="accepted", n=3, **fields)
    text = owner.get("credentials", row.pk).text
    assert "7: signature or credentials do not match" in text
    assert owner.url("requests") in text


# --- what owners and members do


def test_a_member_configures_and_checks_but_changes_no_credentials(
    member: Person, viewer: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    for name in ("credentials_configure", "credentials_check", "credentials_examine"):
        assert viewer.post(name, row.pk).status_code == 403
        assert member.post(name, row.pk).status_code in (200, 302)
    for name in ("credentials_change", "credentials_withdraw", "credentials_rotate", "credentials_proof",
                 "credentials_retire", "credentials_numbers"):  # fmt: skip
        assert member.post(name, row.pk, is_sure="on", demands="off", addresses="off").status_code == 403
    row.refresh_from_db()
    assert (row.removed_at, row.demands_authentication, row.settings) == (None, True, SETTINGS)


def test_checking_credentials_says_what_the_provider_says(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    text = owner.client.post(owner.url("credentials_check", row.pk), follow=True).text
    assert "Acme knows you." in text
    assert "It is a trial." in text
    ProviderAccount.objects.update(credentials=[{"values": SETTINGS | {"key": "revoked"}, "until": None}])
    text = owner.client.post(owner.url("credentials_check", row.pk), follow=True).text
    assert "The credentials: Acme does not take this key" in text


def test_check_my_set_up_finds_what_is_not_ours_and_speaks_to_an_owner(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    factories.RequestTotalFactory(slug="acme", party_id=row.pk, account_id=row.account_id, standing="unproven")
    acme.hooks = {"account": {"url": "https://elsewhere.example"}}
    page = owner.post("credentials_examine", row.pk).text
    part = owner.client.post(owner.url("credentials_examine", row.pk), headers={"HX-Request": "true"}).text
    for text in (page, part):
        assert "not ours" in text
        assert "1 callback of a day: nothing proves who sent it." in text
        assert "admin" not in text.split("findings-title")[1]
        # The worst stands first.
        assert text.index("Broken") < text.index("Worth knowing")
    assert "<html" in page
    assert "<html" not in part
    assert row.callback_token not in part


def test_new_credentials_leave_the_old_valid_until_the_date_in_the_zone_of_the_account(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    Account.objects.update(time_zone="Asia/Tokyo")
    row = held()
    fields = {"name": "N", "setting_base_url": HOME, "setting_password": "new", "keep_old_until": "2099-01-01T09:00"}
    owner.client.post(owner.url("credentials_change", row.pk), fields)
    row.refresh_from_db()
    assert [entry["values"]["password"] for entry in row.credentials] == ["new", "pass"]
    assert row.credentials[1]["until"].startswith("2099-01-01T00:00") or "+09:00" in row.credentials[1]["until"]
    assert row.webhook_state == State.WORKING
    assert "Withdraw old ones" in owner.get("credentials", row.pk).text
    owner.post("credentials_withdraw", row.pk)
    row.refresh_from_db()
    assert len(row.credentials) == 1


def test_a_stored_secret_is_never_shown(owner: Person, held: Callable[..., ProviderAccount]) -> None:
    row = held()
    for name in ("credentials", "credentials_change"):
        text = owner.get(name, row.pk).text
        assert KEY not in text
        assert "pass" not in re.findall(r'value="([^"]*)"', text)


def test_rotating_the_url_says_until_when_the_old_one_works_and_only_once(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    former = row.callback_token
    text = owner.client.post(owner.url("credentials_rotate", row.pk), follow=True).text
    assert "There is a new callback URL; the old one stays valid until" in text
    row.refresh_from_db()
    second = row.callback_token
    assert second != former
    assert "only one can be" in owner.client.post(owner.url("credentials_rotate", row.pk), follow=True).text
    row.refresh_from_db()
    assert row.callback_token == second


def test_what_is_demanded_of_callers_is_said_with_its_consequences(
    owner: Person, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    assert "reports and opt-outs are taken without proof" in owner.get("credentials_proof", row.pk).text
    owner.post("credentials_proof", row.pk, demands="off", addresses="enforce")
    row.refresh_from_db()
    assert (row.demands_authentication, row.address_policy) == (False, "enforce")
    assert AuditEntry.objects.get().detail == "proof waived, addresses: Refuse calls from elsewhere"


def test_retiring_must_be_meant_and_closes_the_lists(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    factories.SendingListFactory(provider_account=row, number=OURS)
    owner.post("credentials_configure", row.pk)
    work_through()
    owner.post("credentials_retire", row.pk)
    row.refresh_from_db()
    assert row.removed_at is None
    owner.post("credentials_retire", row.pk, is_sure="on")
    work_through()
    row.refresh_from_db()
    assert (row.webhook_state, acme.hooks) == (State.REMOVED, {})
    assert SendingList.objects.get().status == "deleted"
    text = owner.get("credentials", row.pk).text
    assert "These credentials are retired." in text
    for name in ("credentials_change", "credentials_numbers"):
        assert owner.get(name, row.pk).status_code == 302
    assert "are retired" in owner.client.post(owner.url("credentials_configure", row.pk), follow=True).text


def test_an_entry_leaves_what_others_wrote_meanwhile(
    owner: Person, acme: FakeAcme, held: Callable[..., ProviderAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = held()
    before = ProviderAccount.save

    def save_later(self: ProviderAccount, **kwargs: Any) -> None:
        ProviderAccount.objects.filter(pk=self.pk).update(webhook_state="failed", demands_authentication=False)
        before(self, **kwargs)

    ProviderAccount.objects.update(webhook_state="configured")
    monkeypatch.setattr(ProviderAccount, "save", save_later)
    owner.client.post(owner.url("credentials_change", row.pk), {"name": "Renamed", "setting_base_url": HOME})
    row.refresh_from_db()
    assert (row.name, row.webhook_state, row.demands_authentication) == ("Renamed", "failed", False)


def test_another_accounts_credentials_are_unknown_to_every_verb(
    rival: Person, acme: FakeAcme, held: Callable[..., ProviderAccount]
) -> None:
    row = held()
    for name in ("configure", "check", "examine", "change", "withdraw", "rotate", "proof", "retire", "numbers"):
        assert rival.post(f"credentials_{name}", row.pk, is_sure="on").status_code == 404
    assert rival.get("credentials", row.pk).status_code == 404
    assert acme.requests == []


def test_a_page_with_many_steps_and_lists_asks_few_questions(
    owner: Person, held: Callable[..., ProviderAccount], django_assert_max_num_queries: Any
) -> None:
    row = held(numbers=[{"number": SECOND, "name": "", "can_receive": True}])
    for n in range(60):
        factories.SendingListFactory(provider_account=row)
        row.steps.create(key=f"k{n}", position=n, title=f"Step {n}")
    with django_assert_max_num_queries(19):
        assert "Step 59" in owner.get("credentials", row.pk).text
