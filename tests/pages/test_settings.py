"""Settings: what an owner changes is kept, told, and seen nowhere it should not be."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError
from django.utils import timezone

from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account, ApiKey, AuditEntry, ExchangeRate
from trackly.signing import token_hash

ACCOUNT = {"name": "Acme Inc", "currency": "EUR", "time_zone": "Europe/Berlin", "payout_ceiling": "500"}


def words(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined]


def test_name_currency_zone_and_ceiling_are_kept_and_audited(owner: Person, account: Account) -> None:
    assert owner.post("settings", **ACCOUNT).status_code == 302
    account.refresh_from_db()
    assert (account.name, account.currency, account.time_zone) == ("Acme Inc", "EUR", "Europe/Berlin")
    assert account.payout_ceiling == 500
    entry = AuditEntry.objects.get(account=account)
    assert (entry.verb, entry.user) == ("changed", owner.user)


@pytest.mark.parametrize(("held", "shown"), [("10000", "10000"), ("99.5", "99.5"), ("0.000001", "0.000001")])
def test_the_ceiling_is_shown_without_empty_decimals_and_sent_back_unchanged(
    owner: Person, account: Account, held: str, shown: str
) -> None:
    Account.objects.filter(pk=account.pk).update(payout_ceiling=Decimal(held))
    form = owner.get("settings").context["form"]
    assert str(form["payout_ceiling"].value()) == shown
    assert f'value="{shown}"' in str(form["payout_ceiling"])
    sent = {name: str(form[name].value()) for name in form.fields}
    owner.post("settings", **sent)
    account.refresh_from_db()
    assert account.payout_ceiling == Decimal(held)
    assert AuditEntry.objects.get(account=account).detail == ""


@pytest.mark.parametrize(("name", "value"), [("currency", "XXX"), ("time_zone", "Mars/Base"), ("payout_ceiling", "0")])
def test_what_makes_no_sense_is_said_at_its_field_and_nothing_is_kept(
    owner: Person, account: Account, name: str, value: str
) -> None:
    answer = owner.post("settings", **(ACCOUNT | {name: value}))
    assert answer.context["form"].errors.keys() == {name}
    assert "Acme Inc" in words(answer)
    account.refresh_from_db()
    assert account.name == "Acme"


def test_only_the_form_s_own_columns_are_written(owner: Person, account: Account) -> None:
    """Somebody else may have changed the words meanwhile."""
    owner.get("settings")
    Account.objects.filter(pk=account.pk).update(opt_out_words=["basta ya"])
    owner.post("settings", **ACCOUNT)
    account.refresh_from_db()
    assert account.opt_out_words == ["basta ya"]


def test_a_viewer_reads_them_and_has_no_button(viewer: Person) -> None:
    text = words(viewer.get("settings"))
    assert "Only an owner" in text
    assert ">Save<" not in text


def test_words_are_lines(owner: Person, account: Account) -> None:
    owner.post("words", opt_out_words="basta ya\n\n  adios \nbasta ya", harmless_words="block")
    account.refresh_from_db()
    assert (account.opt_out_words, account.harmless_words) == (["basta ya", "adios"], ["block"])


def test_stop_cannot_be_made_harmless(owner: Person, account: Account) -> None:
    answer = owner.post("words", opt_out_words="", harmless_words="stop")
    assert "demand that &#x27;stop&#x27; opts out" in words(answer)
    account.refresh_from_db()
    assert account.harmless_words == []


def test_a_reply_is_tried_by_the_account_s_own_words(owner: Person, account: Account) -> None:
    assert "nobody is opted out" in words(owner.get("words", reply="basta ya"))
    Account.objects.filter(pk=account.pk).update(opt_out_words=["basta ya"])
    assert "It opts the sender out." in words(owner.get("words", reply="Basta YA!"))
    assert "opts the sender in again" in words(owner.get("words", reply="START"))


def test_a_rate_is_added_once_for_a_day(owner: Person, account: Account) -> None:
    given = {"currency": "EUR", "rate": "1.0825", "valid_from": "2026-11-01"}
    assert owner.post("rates", **given).status_code == 302
    answer = owner.post("rates", **given)
    assert "remove it first" in words(answer)
    row = ExchangeRate.objects.get(account=account)
    assert (row.currency, row.rate, str(row.valid_from)) == ("EUR", Decimal("1.0825"), "2026-11-01")


@pytest.mark.parametrize("rate", ["0", "-1", "1e99", "NaN"])
def test_a_rate_is_above_zero(owner: Person, rate: str) -> None:
    assert owner.post("rates", currency="EUR", rate=rate, valid_from="2026-11-01").context["form"].errors
    assert not ExchangeRate.objects.exists()


def test_the_table_itself_refuses_a_rate_of_zero(account: Account) -> None:
    with pytest.raises(IntegrityError):
        factories.ExchangeRateFactory(account=account, rate=0)


def test_the_own_currency_has_no_rate(owner: Person) -> None:
    assert owner.post("rates", currency="USD", rate="1", valid_from="2026-11-01").context["form"].errors


def test_currencies_that_money_came_in_and_that_lack_a_rate_are_named(owner: Person, account: Account) -> None:
    for currency in ("EUR", "GBP", "USD"):
        factories.HourlyTotalFactory(account=account, currency=currency)
    factories.HourlyTotalFactory(account=account, currency="CHF", hour=timezone.now() - timedelta(days=100))
    factories.ExchangeRateFactory(account=account, currency="EUR")
    assert "Without a rate: GBP." in words(owner.get("rates"))


def test_a_rate_is_removed(owner: Person, account: Account) -> None:
    row = factories.ExchangeRateFactory(account=account)
    owner.post("rate_remove", row.pk)
    assert not ExchangeRate.objects.exists()
    assert AuditEntry.objects.get(account=account).verb == "removed"


def test_a_key_is_shown_once_and_only_its_hash_kept(owner: Person, account: Account) -> None:
    answer = owner.post("keys", name="Reports")
    (key,) = set(re.findall(r"trk_\w{26}", words(answer)))
    row = ApiKey.objects.get(account=account)
    assert bytes(row.key_hash) == token_hash(key)
    assert answer["Cache-Control"] == "no-store"
    assert key not in words(owner.get("keys"))
    assert key not in AuditEntry.objects.get(account=account).detail


def test_the_key_that_was_made_opens_the_api_until_it_is_revoked(owner: Person, account: Account) -> None:
    made = owner.post("keys", name="Reports").context["made"]
    assert owner.client.get("/api/v2/lists", headers={"X-Api-Key": made}).status_code == 200
    owner.post("key_revoke", ApiKey.objects.get(account=account).pk)
    assert owner.client.get("/api/v2/lists", headers={"X-Api-Key": made}).status_code == 401


def test_revoking_a_second_time_keeps_the_first_moment(owner: Person, account: Account) -> None:
    row = factories.ApiKeyFactory(account=account)
    owner.post("key_revoke", row.pk)
    row.refresh_from_db()
    first = row.revoked_at
    owner.post("key_revoke", row.pk)
    row.refresh_from_db()
    assert row.revoked_at == first


def test_members_do_not_see_keys(member: Person, account: Account) -> None:
    factories.ApiKeyFactory(account=account, name="Secret project")
    answer = member.get("keys")
    assert answer.status_code == 403
    assert "Secret project" not in words(answer)
    assert "API keys" not in words(member.get("settings"))


def test_policies_tell_what_is_demanded_and_where_it_is_changed(owner: Person, account: Account) -> None:
    party = factories.ProviderAccountFactory(account=account, name="Loose", demands_authentication=False)
    connection = factories.NetworkConnectionFactory(account=account, token_only=True, status_words={"hold": "pending"})
    text = words(owner.get("policies"))
    assert "No proof demanded" in text
    assert "Token URL alone" in text
    assert "hold → pending" in text
    assert owner.url("credentials", party.pk) in text
    assert owner.url("connection", connection.pk) in text


def test_history_tells_who_did_what_and_can_be_filtered(owner: Person, account: Account, other: Account) -> None:
    factories.AuditEntryFactory(account=account, user=owner.user, verb="paused", target="sending list 4")
    factories.AuditEntryFactory(account=account, user=None, verb="replayed", target="request 7")
    factories.AuditEntryFactory(account=other, verb="paused", target="somebody else's")
    text = words(owner.get("history"))
    assert "sending list 4" in text
    assert "the system" in text
    assert "somebody else" not in text
    assert "request 7" not in words(owner.get("history", verb="paused"))
