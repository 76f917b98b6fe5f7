"""A number closed by hand in the admin: written in one way, for a brand that exists, or refused in words that say how."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from sendinglists.models import Contact, Suppression
from tests import factories

pytestmark = pytest.mark.django_db
ADD = reverse("admin:sendinglists_suppression_add")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def account(*brands: str) -> Any:
    made = factories.AccountFactory(name="Shop")
    party = factories.ProviderAccountFactory(account=made)
    for n, brand in enumerate(brands):
        factories.SendingListFactory(provider_account=party, brand=brand, number=f"+1800555014{n}")
    return made


def add(staff: Client, of: Any, **fields: str) -> str:
    typed = {"account": str(of.pk), "phone": "+14155550197", "brand": "", "is_active": "on", "cause": "asked by mail"}
    return staff.post(ADD, typed | fields, follow=True).text


@pytest.mark.parametrize("typed", ["+1 415 555 0197", "001-415-555-0197", " +1 (415) 555.0197 "])
def test_a_number_is_closed_in_the_spelling_that_is_asked_for_before_a_send(staff: Client, typed: str) -> None:
    of = account()
    add(staff, of, phone=typed)
    assert Suppression.objects.get().phone == "+14155550197"
    # Made and locked, so that no message passes while it is closed.
    assert Contact.objects.get().phone == "+14155550197"


@pytest.mark.parametrize("typed", ["415-555-0198", "14155550197", "banana", "+", "+1", "+0", "72345", "+1800\u0663"])
def test_what_is_no_number_closes_nobody_and_is_told_how_to_write_one(staff: Client, typed: str) -> None:
    text = add(staff, account(), phone=typed)
    assert "write it with + (or 00) and the country code, as +14155550101" in text
    assert not Suppression.objects.exists()


def test_its_time_is_now_unless_another_one_is_given(staff: Client) -> None:
    of, before = account(), factories.now()
    assert f'value="{before:%Y-%m-%d}"' in staff.get(ADD).text
    add(staff, of)
    assert Suppression.objects.get().decided_at >= before
    add(staff, of, phone="+14155550198", decided_at_0="2026-01-02", decided_at_1="03:04:05")
    assert f"{Suppression.objects.get(phone='+14155550198').decided_at:%Y-%m-%d %H:%M:%S}" == "2026-01-02 03:04:05"


def test_a_brand_no_list_has_is_refused_and_those_there_are_are_named(staff: Client) -> None:
    of = account("Acme", "Zeta")
    assert "there are: Acme, Zeta" in add(staff, of, brand="Acne")
    assert not Suppression.objects.exists()
    add(staff, of, brand=" acme ")
    assert Suppression.objects.get().brand == "Acme"


def test_a_brand_of_another_account_is_none_of_this_one(staff: Client) -> None:
    factories.SendingListFactory(brand="Theirs")
    assert "no list with a brand: leave it empty" in add(staff, account(), brand="Theirs")
    assert not Suppression.objects.exists()


def test_a_number_that_is_closed_already_is_told_so(staff: Client) -> None:
    of = account("Acme")
    add(staff, of)
    assert "is closed for the whole account already" in add(staff, of, phone="0014155550197")
    # For a brand it is another entry.
    add(staff, of, brand="Acme")
    assert Suppression.objects.count() == 2


def test_a_number_that_was_opened_again_is_closed_on_its_own_page(staff: Client) -> None:
    of = account()
    held = factories.SuppressionFactory(account=of, phone="+14155550197", brand="", is_active=False)
    assert "was opened again: on its page, switch" in add(staff, of)
    page = reverse("admin:sendinglists_suppression_change", args=[held.pk])
    typed = {"account": of.pk, "brand": "", "is_active": "on", "cause": "again"}
    assert staff.post(page, typed).status_code == 302
    held.refresh_from_db()
    assert held.is_active
    assert held.phone == "+14155550197"


def test_a_brand_that_would_double_another_entry_is_refused_on_a_page_without_the_number(staff: Client) -> None:
    of = account("Acme")
    factories.SuppressionFactory(account=of, phone="+14155550197", brand="Acme")
    held = factories.SuppressionFactory(account=of, phone="+14155550197", brand="")
    page = reverse("admin:sendinglists_suppression_change", args=[held.pk])
    text = staff.post(page, {"account": of.pk, "brand": "Acme", "is_active": "on", "cause": "c"}).text
    assert "is closed for Acme already" in text


def test_a_closing_of_a_brand_that_is_gone_can_still_be_ended(staff: Client) -> None:
    of = account()
    held = factories.SuppressionFactory(account=of, phone="+14155550197", brand="Gone")
    page = reverse("admin:sendinglists_suppression_change", args=[held.pk])
    assert staff.post(page, {"account": of.pk, "brand": "Gone", "cause": "c"}).status_code == 302
    held.refresh_from_db()
    assert not held.is_active
