"""The words of an account are entered one a line in the admin, and decide what its replies mean."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from sendinglists.models import Subscription
from tests.factories import ProviderAccountFactory, SendingListFactory, StaffFactory
from tests.webhooks.calls import call, events, reply, token_url
from trackly.models import Account

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(StaffFactory())
    return client


def enter(staff: Client, account: Account, **words: str) -> Any:
    shown = {"name": account.name, "status": "active", "currency": "USD", "time_zone": "UTC", "payout_ceiling": "10000"}
    return staff.post(f"/admin/trackly/account/{account.pk}/change/", shown | words)


def test_words_entered_as_lines_opt_out_or_do_not(staff: Client, work_off: Callable[[], int]) -> None:
    party = ProviderAccountFactory()
    line = SendingListFactory(provider_account=party)
    answer = enter(staff, party.account, opt_out_words="Tschüss\n\n  no more pizza \nTschüss", harmless_words="wrong")
    assert answer.status_code == 302, answer.context["errors"]
    party.account.refresh_from_db()
    assert party.account.opt_out_words == ["Tschüss", "no more pizza"]
    for n, text in enumerate(("TSCHUSS", "No more pizza!", "wrong", "STOP")):
        said = reply(text, key=f"k{n}", sender=f"+1415555010{n}", to=line.number)
        assert call(token_url(party), events(said)).status == 200
    work_off()
    out = Subscription.objects.filter(state="opted_out").values_list("contact__phone", flat=True)
    assert set(out) == {"+14155550100", "+14155550101", "+14155550103"}
    shown = staff.get(f"/admin/trackly/account/{party.account.pk}/change/").content.decode()
    assert "Tschüss\nno more pizza</textarea>" in shown


@pytest.mark.parametrize("word", ["stop", " STOP ", "ＳＴＯＰ", "Unsubscribe", "cancel"])
def test_what_law_demands_cannot_be_made_harmless(staff: Client, word: str) -> None:
    account = ProviderAccountFactory().account
    answer = enter(staff, account, harmless_words=f"wrong\n{word}")
    assert answer.status_code == 200
    assert "Law and carriers demand" in answer.content.decode()
    account.refresh_from_db()
    assert account.harmless_words == []


def test_too_many_or_too_long_words_are_refused(staff: Client) -> None:
    account = ProviderAccountFactory().account
    for words in ("\n".join(f"word{n}" for n in range(201)), "x" * 101):
        assert "At most 200 lines" in enter(staff, account, opt_out_words=words).content.decode()
