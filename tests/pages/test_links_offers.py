"""The pages of offers: made, changed, paused; where a click leads, and what is refused with the fix."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from postbacks.models import Click, Offer
from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account, AuditEntry

TYPED = {
    "name": "Sneakers",
    "destination": "https://network.example.com/c?o=1",
    "default_payout": "12.50",
    "window_days": "30",
}


def sent(person: Person, page: str, *args: Any, **typed: Any) -> Any:
    """A form of which one field is a name."""
    return person.client.post(person.url(page, *args), typed)


@pytest.fixture
def connection(account: Account) -> Any:
    return factories.NetworkConnectionFactory(account=account, name="Bold Ads", currency="EUR")


@pytest.fixture
def offer(connection: Any) -> Offer:
    return factories.OfferFactory(connection=connection, account=connection.account, name="Sneakers")


def test_a_member_adds_an_offer(member: Person, connection: Any) -> None:
    answer = sent(member, "offer_new", **TYPED, connection=connection.pk)
    row = Offer.objects.get()
    assert answer["Location"] == member.url("offer", row.pk)
    assert (row.account, row.connection, row.default_payout) == (member.account, connection, Decimal("12.50"))
    assert row.attribution_window == timedelta(days=30)
    assert AuditEntry.objects.filter(account=member.account, verb="added", target=f"offer {row.pk}").exists()


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("ftp://n.example/", "Begin with https://"),
        ("https://{x}.example/", "must be fixed"),
        ("https://n.example/?a={sub5}", "is not known here"),
        ("https://n.example/?aff_click_id=7", "aff_click_id is in use in this address"),
        ("https://[n.example/", "Not a web address"),
        ("https://n.example/#{click_id}", "never reaches the network"),
    ],
)
def test_an_address_that_would_lose_the_click_id_is_refused_with_the_fix(
    member: Person, connection: Any, destination: str, words: str
) -> None:
    answer = sent(member, "offer_new", **(TYPED | {"destination": destination}), connection=connection.pk)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    # What was typed is still there.
    assert "Sneakers" in answer.content.decode()
    assert not Offer.objects.exists()


def test_an_offer_changed_to_a_bad_address_stays_as_it_was(member: Person, offer: Offer) -> None:
    before = offer.destination
    answer = sent(member, "offer_edit", offer.pk, **(TYPED | {"destination": "https://[x"}))
    assert answer.status_code == 200
    offer.refresh_from_db()
    assert offer.destination == before


def test_another_accounts_network_cannot_be_chosen(member: Person, other: Account) -> None:
    foreign = factories.NetworkConnectionFactory(account=other)
    assert sent(member, "offer_new", **TYPED, connection=foreign.pk).status_code == 200
    assert not Offer.objects.exists()


def test_amounts_below_zero_are_refused(member: Person) -> None:
    answer = sent(member, "offer_new", **(TYPED | {"default_payout": "-1", "ceiling": "-2"}))
    assert answer.content.decode().count("cannot be below 0") == 2


def test_an_own_window_is_kept_and_emptied(member: Person, offer: Offer) -> None:
    typed = {**TYPED, "connection": offer.connection_id}
    sent(member, "offer_edit", offer.pk, **typed)
    assert 'value="12.5"' in member.get("offer_edit", offer.pk).content.decode()
    assert 'value="30"' in member.get("offer_edit", offer.pk).content.decode()
    sent(member, "offer_edit", offer.pk, **(typed | {"window_days": ""}))
    offer.refresh_from_db()
    assert offer.attribution_window is None


def test_an_offer_shows_where_a_click_leads(viewer: Person, offer: Offer) -> None:
    said = viewer.get("offer", offer.pk).content.decode()
    assert f"{offer.destination}&amp;aff_click_id=k3v9q2m7x4c5t6b2n7p5r2w6yd".replace(
        "&amp;aff_id", "&amp;aff_id"
    ) in said.replace("offer_id=1&amp;aff_id", "offer_id=1&aff_id")
    assert "Change</a>" not in said


def test_an_offer_is_paused_archived_and_brought_back(member: Person, offer: Offer) -> None:
    for verb, state in (("pause", "paused"), ("archive", "archived"), ("activate", "active")):
        sent(member, "offer_move", offer.pk, verb)
        offer.refresh_from_db()
        assert offer.status == state
    assert sent(member, "offer_move", offer.pk, "delete").status_code == 404


def test_a_viewer_changes_nothing(viewer: Person, offer: Offer) -> None:
    assert sent(viewer, "offer_move", offer.pk, "pause").status_code == 403
    assert sent(viewer, "offer_new", **TYPED).status_code == 403
    offer.refresh_from_db()
    assert offer.status == "active"


def test_archived_offers_are_shown_only_when_asked_for(viewer: Person, offer: Offer) -> None:
    Offer.objects.update(status="archived")
    assert "Sneakers" not in viewer.get("offers").content.decode()
    assert "Sneakers" in viewer.get("offers", status="archived").content.decode()


def test_the_list_tells_what_each_offer_had_in_seven_days(
    viewer: Person, offer: Offer, django_assert_max_num_queries: Any
) -> None:
    link = factories.LinkFactory(offer=offer, account=offer.account)
    now = factories.now()
    factories.ClickFactory.create_batch(3, link=link)
    for fields in ({"bot": "preview"}, {"is_test": True}, {"at": now - timedelta(days=8)}):
        factories.ClickFactory(link=link, **fields)
    mine = {"account": offer.account, "offer": offer}
    factories.ConversionFactory(**mine, kind="conversion", key=b"1")
    factories.ConversionFactory(**mine, kind="upsell", key=b"2")
    factories.ConversionFactory(**mine, kind="")
    factories.ConversionFactory(**mine, kind="conversion", key=b"3", received_at=now - timedelta(days=8))
    with django_assert_max_num_queries(10):
        rows = viewer.get("offers").context["sheet"].rows
    assert [cell for _, cell in rows[0][1]][-2:] == ["3", 2]
    for n in range(60):
        factories.OfferFactory(connection=offer.connection, account=offer.account, name=f"O{n}")
    with django_assert_max_num_queries(10):
        viewer.get("offers")
    assert Click.objects.count() == 6


def test_an_offers_page_has_its_links_and_conversions(
    viewer: Person, offer: Offer, django_assert_max_num_queries: Any
) -> None:
    alone = [factories.LinkFactory(offer=offer, account=offer.account, campaign="Spring") for _ in range(12)]
    of_message = factories.LinkFactory(offer=offer, account=offer.account, message=factories.MessageFactory())
    factories.ConversionFactory(
        account=offer.account, offer=offer, payout=Decimal("9.99"), currency="USD", verdict="recorded"
    )
    with django_assert_max_num_queries(18):
        said = viewer.get("offer", offer.pk).content.decode()
    assert alone[-1].code in said
    assert of_message.code not in said
    assert "9.99 USD" in said
