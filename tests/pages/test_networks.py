"""Network connections: what the pages tell, to whom, and what they build."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils.html import escape

from postbacks import networks
from postbacks.models import Click, Conversion, NetworkConnection, Offer
from sendinglists.models import Link
from tests import factories
from tests.pages.conftest import Person
from tests.postbacks.requests import K1
from trackly.models import Account, AuditEntry

BASE = "https://hooks.example.com/api/postbacks"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def connection(account: Account) -> NetworkConnection:
    return factories.NetworkConnectionFactory(account=account, network="tune", name="Acme TUNE")


@pytest.fixture
def offer(connection: NetworkConnection) -> Offer:
    return factories.OfferFactory(connection=connection, name="Pills")


def words(answer: Any) -> str:
    assert answer.status_code == 200, answer.content[:500]
    return str(answer.content.decode())


def hit(connection: NetworkConnection, query: str, *, token: str | None = None) -> None:
    token = connection.postback_token if token is None else token
    assert Client().get(f"/api/postbacks/{connection.network}/{token}?{query}").status_code == 200


def test_without_a_connection_the_list_says_what_one_is(owner: Person, viewer: Person) -> None:
    assert "No network is connected yet" in words(owner.get("connections"))
    assert "Connect a network" in words(owner.get("connections"))
    assert "Connect a network" not in words(viewer.get("connections"))


def test_the_list_tells_hits_conversions_and_refusals_of_a_day(
    owner: Person, connection: NetworkConnection, offer: Offer, work_off: Callable[[], int]
) -> None:
    click = factories.ClickFactory(link=factories.LinkFactory(offer=offer))
    hit(connection, f"click_id={click.click_id}&payout=5&txid=1")
    hit(connection, f"click_id={click.click_id}&payout=6&txid=2")
    hit(connection, f"click_id={K1}&payout=5")
    work_off()
    page = words(owner.get("connections"))
    row = page.split("Acme TUNE</bdi>")[1].split("</tr>")[0]
    assert [cell.split(">")[-1] for cell in row.split("</bdi>")[:-1]][-3:] == ["3", "2", "0"]
    assert "1 to look at" in row


def test_a_connection_that_nobody_called_needs_attention(owner: Person, connection: NetworkConnection) -> None:
    assert "Nothing came yet" in words(owner.get("connections"))


def test_the_list_holds_no_token(owner: Person, connection: NetworkConnection) -> None:
    assert connection.postback_token not in words(owner.get("connections"))


def test_the_list_asks_the_tables_no_more_for_more_rows(
    owner: Person, account: Account, django_assert_max_num_queries: Any
) -> None:
    factories.NetworkConnectionFactory.create_batch(40, account=account)
    with django_assert_max_num_queries(12):
        owner.get("connections")


# Making one


def connect(person: Person, **typed: str) -> Any:
    return person.client.post(person.url("connection_new"), typed)


def test_connecting_a_network_leads_to_its_set_up(owner: Person, account: Account) -> None:
    answer = connect(owner, network="everflow", name="Big one", currency="EUR", time_zone="Europe/Berlin")
    row = NetworkConnection.objects.get()
    assert answer["Location"] == owner.url("connection", row.pk)
    assert (row.account, row.network, row.currency, row.time_zone) == (account, "everflow", "EUR", "Europe/Berlin")
    assert f"{BASE}/everflow/{row.postback_token}?click_id={{sub1}}" in words(owner.get("connection", row.pk))
    assert AuditEntry.objects.get().verb == "added"


def test_what_is_wrong_is_said_and_what_was_typed_is_kept(owner: Person) -> None:
    page = words(connect(owner, network="nobody", name="Kept name", currency="XXX"))
    assert "Kept name" in page
    assert "tk-error" in page
    assert not NetworkConnection.objects.exists()


def test_only_an_owner_connects_one(member: Person) -> None:
    assert member.get("connection_new").status_code == 403
    assert connect(member, network="tune", name="x").status_code == 403


# The postback URL


@pytest.mark.parametrize("slug", list(networks.all_networks()))
def test_the_recommended_url_is_built_from_the_adapter(owner: Person, account: Account, slug: str) -> None:
    row = factories.NetworkConnectionFactory(account=account, network=slug)
    adapter = networks.all_networks()[slug]
    page = words(owner.get("connection", row.pk))
    assert escape(f"{BASE}/{slug}/{row.postback_token}?{adapter.template}") in page
    assert adapter.name in page
    assert adapter.docs in page


def test_parts_are_chosen_by_ticking_without_a_script(owner: Person, connection: NetworkConnection) -> None:
    page = words(
        owner.client.get(owner.url("connection", connection.pk) + "?chosen=1&with=transaction_id&with=offer_ref")
    )
    wanted = "click_id={aff_click_id}&payout={payout}&txid={transaction_id}&offer_id={offer_id}"
    assert f'data-copy="{escape(f"{BASE}/tune/{connection.postback_token}?{wanted}")}"' in page
    page = words(owner.get("connection", connection.pk, chosen=1))
    assert f'?{escape("click_id={aff_click_id}&payout={payout}")}"' in page


def test_to_htmx_the_builder_answers_its_part_alone(owner: Person, connection: NetworkConnection) -> None:
    answer = owner.client.get(owner.url("connection", connection.pk), {"chosen": "1", "with": "event"}, headers=HTMX)
    assert words(answer).strip().startswith('<div id="built">')
    assert "goal_id={goal_id}" in words(answer)


def test_the_documented_payout_macro_may_be_chosen_and_no_other(owner: Person, account: Account) -> None:
    row = factories.NetworkConnectionFactory(account=account, network="everflow")
    assert "payout={revenue}" in words(owner.get("connection", row.pk, payout="{revenue}"))
    assert "payout={evil}" not in words(owner.get("connection", row.pk, payout="{evil}"))


def test_another_click_parameter_changes_what_the_postback_gives_back(owner: Person, account: Account) -> None:
    row = factories.NetworkConnectionFactory(account=account, click_parameter="aff_sub2")
    assert "click_id={aff_sub2}" in words(owner.get("connection", row.pk))


def test_a_viewer_sees_the_url_without_its_token(viewer: Person, connection: NetworkConnection, offer: Offer) -> None:
    page = words(viewer.get("connection", connection.pk))
    assert connection.postback_token not in page
    assert f"{BASE}/tune/{connection.postback_token[:4]}••••" in page
    assert "Fire a test postback" not in page


def test_the_token_stays_hidden_from_a_viewer_in_every_part(viewer: Person, connection: NetworkConnection) -> None:
    for show in ("url", "tail", "click", "verdict"):
        answer = viewer.client.get(viewer.url("connection", connection.pk), {"show": show}, headers=HTMX)
        assert connection.postback_token not in words(answer)


def test_the_tracking_link_shows_where_our_click_id_stands(owner: Person, connection: NetworkConnection) -> None:
    factories.OfferFactory(connection=connection, name="Plain", destination="https://n.example/aff_c?offer_id=1")
    factories.OfferFactory(connection=connection, name="Own", destination="https://n.example/aff_c?aff_sub={click_id}")
    page = words(owner.get("connection", connection.pk))
    assert escape("https://n.example/aff_c?offer_id=1&aff_click_id={click_id}") in page
    assert "https://n.example/aff_c?aff_sub={click_id}" in page
    assert "It carries our click id as <code>aff_sub</code>" in page


def test_a_network_whose_file_is_gone_is_said_to_be(owner: Person, account: Account) -> None:
    row = factories.NetworkConnectionFactory(account=account, network="gone")
    assert "There is no network gone in this version" in words(owner.get("connection", row.pk))
    assert "gone" in words(owner.get("connections"))
    assert words(owner.get("connection_edit", row.pk))


# The linter


def lint(person: Person, row: NetworkConnection, url: str, **headers: Any) -> str:
    return words(person.client.post(person.url("connection_lint", row.pk), {"url": url}, **headers))


def test_a_right_url_is_said_to_be_right(owner: Person, connection: NetworkConnection) -> None:
    url = f"{BASE}/tune/{connection.postback_token}?click_id={{aff_click_id}}&payout={{payout}}&txid={{transaction_id}}"
    part = lint(owner, connection, url, headers=HTMX)
    assert part.strip().startswith('<div id="findings"')
    assert "Nothing is wrong with it." in part


def test_a_wrong_url_gets_its_findings_and_the_right_one_on_the_whole_page(
    owner: Person, connection: NetworkConnection
) -> None:
    page = lint(owner, connection, f"{BASE}/tune?click_id={{sub1}}&payout={{payout}}")
    assert "{sub1} is a macro of Everflow, not of TUNE." in page
    assert "It carries no token" in page
    right = (
        f"{BASE}/tune/{connection.postback_token}?click_id={{aff_click_id}}&payout={{payout}}&txid={{transaction_id}}"
    )
    assert 'data-what="Corrected URL"' in page
    assert escape(right) in page
    # What was pasted stands in its field still.
    assert escape(f"{BASE}/tune?click_id={{sub1}}") in page


def test_whose_token_it_is_is_told_of_this_account_alone(
    owner: Person, account: Account, other: Account, connection: NetworkConnection
) -> None:
    sibling = factories.NetworkConnectionFactory(account=account)
    strange = factories.NetworkConnectionFactory(account=other)
    former = connection.postback_token
    connection.rotate_token(until=datetime.now(UTC) + timedelta(days=1))
    connection.save()
    said = {
        sibling.postback_token: "belongs to another connection of this account",
        strange.postback_token: "none of this account",
        former: "the former token",
    }
    for token, sentence in said.items():
        assert sentence in lint(owner, connection, f"{BASE}/tune/{token}?click_id={{aff_click_id}}", headers=HTMX)
    NetworkConnection.objects.update(previous_token_until=datetime.now(UTC) - timedelta(seconds=1))
    assert "none of this account" in lint(owner, connection, f"{BASE}/tune/{former}?click_id=x", headers=HTMX)


def test_what_an_offer_carries_decides_which_macro_is_right(owner: Person, connection: NetworkConnection) -> None:
    url = f"{BASE}/tune/{connection.postback_token}?click_id={{aff_sub}}&payout={{payout}}&txid={{transaction_id}}"
    assert "gives back another parameter" in lint(owner, connection, url, headers=HTMX)
    factories.OfferFactory(connection=connection, destination="https://n.example/aff_c?aff_sub={click_id}")
    assert "Nothing is wrong with it." in lint(owner, connection, url, headers=HTMX)


def test_hostile_text_is_shown_and_does_nothing(owner: Person, connection: NetworkConnection) -> None:
    url = f"{BASE}/tune/x?click_id=<script>alert(1)</script>&payout=\u202e5"
    part = lint(owner, connection, url, headers=HTMX)
    assert "<script>" not in part
    assert "\u202e" not in part


def test_nothing_pasted_is_said_in_words(owner: Person, connection: NetworkConnection) -> None:
    assert "This field is required" in lint(owner, connection, "")
    assert "cannot be read as a web address" in lint(owner, connection, "hello")


def test_a_viewer_may_not_lint(viewer: Person, connection: NetworkConnection) -> None:
    assert viewer.post("connection_lint", connection.pk, url="x").status_code == 403


# The test link


def test_a_test_link_makes_test_clicks_and_its_click_comes_live(
    member: Person, connection: NetworkConnection, offer: Offer
) -> None:
    answer = member.post("connection_test_link", connection.pk, offer=offer.pk, destination="")
    link = Link.objects.get()
    assert link.is_test
    assert answer["Location"] == member.url("connection", connection.pk) + f"?link={link.code}#test-link"
    page = words(member.get("connection", connection.pk, link=link.code))
    assert f"https://hooks.example.com/c/{link.code}" in page
    assert "Waiting for the click." in page
    part = {"show": "click", "link": link.code}
    assert "hx-trigger" in words(member.client.get(member.url("connection", connection.pk), part, headers=HTMX))
    phone = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1"}
    assert Client().get(f"/c/{link.code}", headers=phone).status_code == 302
    part_words = words(member.client.get(member.url("connection", connection.pk), part, headers=HTMX))
    click = Click.objects.get()
    assert click.is_test
    assert click.click_id in part_words
    # It came, so nothing is asked for any more.
    assert "hx-trigger" not in part_words


def test_a_preview_is_told_and_waited_past(member: Person, connection: NetworkConnection, offer: Offer) -> None:
    member.post("connection_test_link", connection.pk, offer=offer.pk)
    code = Link.objects.get().code
    Client().get(f"/c/{code}", headers={"User-Agent": "facebookexternalhit/1.1 Facebot Twitterbot/1.0"})
    part = member.client.get(member.url("connection", connection.pk), {"show": "click", "link": code}, headers=HTMX)
    assert "opened by a machine (preview)" in words(part)
    assert "Waiting for the click." in words(part)


def test_a_test_link_may_lead_to_an_address_of_ones_own(member: Person, connection: NetworkConnection) -> None:
    member.post("connection_test_link", connection.pk, offer="", destination="https://landing.example/?x=1")
    assert Link.objects.get().destination == "https://landing.example/?x=1"


@pytest.mark.parametrize("destination", ["", "javascript:alert(1)", "https://{click_id}.example/"])
def test_a_test_link_to_nowhere_is_refused_in_words(
    member: Person, connection: NetworkConnection, destination: str
) -> None:
    page = words(member.post("connection_test_link", connection.pk, offer="", destination=destination))
    assert 'role="alert"' in page
    assert not Link.objects.exists()


def test_offers_and_links_of_others_are_unknown(member: Person, other: Account, connection: NetworkConnection) -> None:
    strange = factories.OfferFactory(connection=factories.NetworkConnectionFactory(account=other))
    member.post("connection_test_link", connection.pk, offer=strange.pk)
    assert not Link.objects.exists()
    link = factories.LinkFactory(offer=strange, is_test=True)
    assert link.code not in words(member.get("connection", connection.pk, link=link.code))


# What arrives


def tail(person: Person, row: NetworkConnection, since: datetime | None = None) -> str:
    at = int((since or datetime.now(UTC) - timedelta(minutes=1)).timestamp())
    return words(person.client.get(person.url("connection", row.pk), {"show": "tail", "since": at}, headers=HTMX))


def test_the_tail_listens_from_the_moment_the_page_was_opened(owner: Person, connection: NetworkConnection) -> None:
    hit(connection, f"click_id={K1}&payout=5")
    page = words(owner.get("connection", connection.pk))
    assert "Listening since" in page
    past = datetime.now(UTC) - timedelta(minutes=1)
    assert "nothing yet" not in tail(owner, connection, past)


def test_what_arrives_is_told_with_its_verdict_and_its_query(
    owner: Person, connection: NetworkConnection, offer: Offer, work_off: Callable[[], int]
) -> None:
    click = factories.ClickFactory(link=factories.LinkFactory(offer=offer))
    hit(connection, f"click_id={click.click_id}&payout=5.00&txid=abc")
    assert "Being judged" in tail(owner, connection)
    hit(connection, "click_id={aff_sub}&payout=5.00")
    work_off()
    part = tail(owner, connection)
    assert "Recorded" in part
    assert "Macro not replaced" in part
    assert escape(f"click_id={click.click_id}&payout=5.00&txid=abc") in part
    # The newest first.
    assert part.index("Macro not replaced") < part.index("Recorded")
    assert "Being judged" not in part


def test_a_hit_without_the_token_for_a_click_of_the_account_is_told(
    owner: Person, connection: NetworkConnection, offer: Offer, work_off: Callable[[], int]
) -> None:
    click = factories.ClickFactory(link=factories.LinkFactory(offer=offer))
    assert Client().get(f"/api/postbacks/tune?click_id={click.click_id}&payout=1").status_code == 200
    hit(connection, f"click_id={click.click_id}&payout=2", token="wrongtokenwrongtokenwrongt")
    work_off()
    part = tail(owner, connection)
    assert part.count("Without the token") == 2
    assert "Wrong postback token" in part


def test_what_arrives_for_another_connection_or_account_is_not_told(
    owner: Person, account: Account, other: Account, connection: NetworkConnection
) -> None:
    hit(factories.NetworkConnectionFactory(account=account), f"click_id={K1}&payout=5")
    hit(factories.NetworkConnectionFactory(account=other), f"click_id={K1}&payout=5")
    assert "nothing yet" in tail(owner, connection)


def test_the_tail_stops_by_itself(owner: Person, connection: NetworkConnection) -> None:
    assert "hx-trigger" in tail(owner, connection)
    part = tail(owner, connection, datetime.now(UTC) - timedelta(hours=2))
    assert "hx-trigger" not in part
    assert "Listen again" in part


@pytest.mark.parametrize("since", ["", "abc", "-1", "99999999999", "9" * 40, "²"])
def test_a_moment_that_makes_no_sense_is_now(owner: Person, connection: NetworkConnection, since: str) -> None:
    assert "nothing yet" in words(owner.get("connection", connection.pk, since=since))


def test_a_verdict_is_shown_for_hits_of_this_connection_alone(
    owner: Person, account: Account, connection: NetworkConnection, work_off: Callable[[], int]
) -> None:
    hit(connection, f"click_id={K1}&payout=5")
    work_off()
    uid = Conversion.objects.get().request_uid
    assert "Click not found" in words(owner.get("connection", connection.pk, fired=uid)).split('id="verdict"')[1]
    sibling = factories.NetworkConnectionFactory(account=account)
    for fired in (uid, "nonsense", quote("\0"), "00000000-0000-0000-0000-000000000000"):
        assert 'id="verdict"' not in words(owner.get("connection", sibling.pk, fired=fired))


def test_a_page_full_of_hits_and_offers_stays_within_its_queries(
    owner: Person, connection: NetworkConnection, work_off: Callable[[], int], django_assert_max_num_queries: Any
) -> None:
    offers = factories.OfferFactory.create_batch(25, connection=connection)
    link = factories.LinkFactory(offer=offers[0], is_test=True)
    click = factories.ClickFactory(link=link, is_test=True)
    for n in range(30):
        hit(connection, f"click_id={click.click_id}&payout=5&txid={n}")
    work_off()
    uid = Conversion.objects.latest("id").request_uid
    since = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp())
    with django_assert_max_num_queries(19):
        page = words(owner.get("connection", connection.pk, link=link.code, fired=uid, since=since))
    assert page.count("tk-hits") == 1


def test_no_network_is_chosen_before_somebody_chooses(owner: Person) -> None:
    choices = owner.get("connection_new").context["form"].fields["network"].choices
    assert next(iter(choices)) == ("", "Choose the network")
    answer = owner.post("connection_new", network="", name="Mine")
    assert answer.context["form"].errors["network"] == ["This field is required."]
