"""What the pages of credentials and lists say: what to do next, in names and not in slugs."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from trackly.stories import parties, provider_accounts

pytestmark = pytest.mark.django_db


def test_a_paused_list_says_what_becomes_of_its_messages() -> None:
    row = factories.SendingListFactory(status="paused")
    [said] = parties.list_story(row, is_revealed=False).why
    assert "Nothing is sent by it: messages that come due are dropped with the reason inactive_list." in said
    assert "reports and STOP" in said
    row.status = "active"
    assert parties.list_story(row, is_revealed=False).why == ()


def test_a_list_names_its_provider_as_people_do(client: Client) -> None:
    party = factories.ProviderAccountFactory(provider="cm", name="Main", settings={"product_token": "t"})
    row = factories.SendingListFactory(provider_account=party)
    assert "sent by Main at CM.com" in parties.list_story(row, is_revealed=False).headline
    client.force_login(factories.StaffFactory())
    assert "Main (cm)" not in client.get(reverse("admin:sendinglists_sendinglist_changelist")).text


def test_a_connection_names_its_network_as_people_do() -> None:
    row = factories.NetworkConnectionFactory(network="tune")
    assert row.get_network_display() != "tune"
    assert f"with {row.get_network_display()}." in parties.connection_story(row, is_revealed=False).headline


def test_who_registers_the_url_by_hand_is_told_to_reveal_it_first(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    row = factories.ProviderAccountFactory(provider="cm", settings={"product_token": "t"}, webhook_state="by_hand")
    story = provider_accounts.provider_story(row, is_revealed=False)
    assert "Press 'Reveal what is masked', then copy the callback URL" in story.why[0]


def test_what_is_valid_no_more_is_none() -> None:
    row = factories.ProviderAccountFactory()
    facts = dict(provider_accounts.provider_story(row, is_revealed=False).facts)
    assert (facts["Old token valid until"], facts["Old credentials valid until"]) == ("none", "none")
