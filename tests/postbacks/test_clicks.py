"""Opening a short link: one hop to the destination with a click id of its own, whoever opens it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from urllib.parse import quote

import pytest
from django.core.exceptions import ValidationError
from django.db import connection as database
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbacks import clicks
from postbacks.models import Click, Offer
from sendinglists.destinations import destination, validate_click_parameter, validate_destination
from sendinglists.models import Link
from tests.factories import AccountFactory, LinkFactory, MessageFactory, NetworkConnectionFactory, OfferFactory, now
from tests.postbacks.test_bots import ANDROID_PREVIEW, IPHONE
from trackly.models import HourlyTotal

PERSON = {"user-agent": IPHONE}
K = "k3v9q2m7x1c8t4b6n0p5r2w8yd"


def opened(client, link, **headers):
    return client.get(f"/c/{link.code}", headers={**PERSON, **headers})


@pytest.fixture
def link(db):
    return LinkFactory(message=MessageFactory())


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_opening_is_one_hop_that_nobody_caches(client, link, slash):
    answer = client.get(f"/c/{link.code}{slash}?x=%22&click_id=mine", headers=PERSON)
    click = Click.objects.get()
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer["Location"] == f"{link.offer.destination}&aff_click_id={click.click_id}"
    assert answer["Cache-Control"] == "no-store"
    assert (answer["Referrer-Policy"], answer["X-Robots-Tag"]) == ("no-referrer", "noindex")
    assert re.fullmatch(r"[a-z2-7]{26}", click.click_id)
    assert (click.account, click.offer, click.message, click.sending_list) == (
        link.account, link.offer, link.message, link.message.sending_list,
    )  # fmt: skip
    assert (click.user_agent, click.address, click.bot) == (IPHONE, "127.0.0.1", "")


def test_every_opening_has_its_own_click_id(client, link):
    assert len({opened(client, link)["Location"] for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("template", "parameters", "expected"),
    [
        ("https://n.example/c?o=1", ("aff_click_id", "aff_sub"), f"https://n.example/c?o=1&aff_click_id={K}"),
        ("https://n.example/c", ("sub1",), f"https://n.example/c?sub1={K}"),
        ("https://n.example/c?", ("sub1",), f"https://n.example/c?sub1={K}"),
        ("https://n.example/c?a=1&", ("sub1",), f"https://n.example/c?a=1&sub1={K}"),
        ("https://n.example/c#top", ("sub1",), f"https://n.example/c?sub1={K}#top"),
        ("https://n.example/c?a=1#to?p", ("sub1",), f"https://n.example/c?a=1&sub1={K}#to?p"),
        ("https://n.example/c", (), f"https://n.example/c?click_id={K}"),
        ("https://n.example/{click_id}/x", ("sub1",), f"https://n.example/{K}/x"),
        ("https://n.example/c?a={{ click_id }}&b={{click_id}}", ("sub1",), f"https://n.example/c?a={K}&b={K}"),
        ("https://n.example/c?sub1=mine", ("sub1",), "https://n.example/c?sub1=mine"),
    ],
)
def test_the_click_id_goes_where_the_template_or_the_network_wants_it(template, parameters, expected):
    assert destination(template, K, parameters) == expected


@pytest.mark.parametrize(
    ("network", "own", "name"),
    [("tune", "", "aff_click_id"), ("everflow", "", "sub1"), ("tune", "aff_sub4", "aff_sub4")],
)
def test_an_offer_uses_its_connections_parameter(client, db, network, own, name):
    offer = OfferFactory(connection=NetworkConnectionFactory(network=network, click_parameter=own))
    assert f"&{name}=" in opened(client, LinkFactory(offer=offer))["Location"]


def test_a_link_may_lead_to_a_destination_of_its_own(client, db):
    link = LinkFactory(offer=None, account=MessageFactory().account, destination="https://shop.example/x?a=1")
    answer = opened(client, link)
    assert answer["Location"] == f"https://shop.example/x?a=1&click_id={Click.objects.get().click_id}"


@pytest.mark.parametrize(
    ("method", "headers", "bot"),
    [
        ("head", PERSON, "head"),
        ("get", {**PERSON, "sec-purpose": "prefetch"}, "prefetch"),
        ("get", {"user-agent": ANDROID_PREVIEW}, "preview"),
        ("get", {"user-agent": ""}, "no_user_agent"),
    ],
)
def test_machines_are_told_apart_and_redirected_all_the_same(client, link, method, headers, bot):
    answer = getattr(client, method)(f"/c/{link.code}", headers=headers)
    click = Click.objects.get()
    assert (answer.status_code, click.bot, click.is_counted) == (302, bot, False)
    assert answer["Location"].endswith(click.click_id)


def test_only_the_first_person_of_a_message_counts(client, link):
    for agent in (ANDROID_PREVIEW, IPHONE, IPHONE):
        opened(client, link, **{"user-agent": agent})
    opened(client, LinkFactory(offer=link.offer, message=link.message))
    assert list(Click.objects.order_by("id").values_list("is_counted", flat=True)) == [False, True, False, False]


def test_a_link_without_a_message_counts_every_person(client, db):
    link = LinkFactory()
    for _ in range(2):
        opened(client, link)
    assert Click.objects.filter(is_counted=True).count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_count_as_one():
    link = LinkFactory(message=MessageFactory())
    start = Barrier(8)

    def open_it(_):
        start.wait()
        try:
            return opened(Client(), link).status_code
        finally:
            database.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(open_it, range(8))) == {302}
    assert Click.objects.count() == 8
    assert Click.objects.filter(is_counted=True).count() == 1


@pytest.mark.parametrize("fallback", ["", "https://shop.example/caf\u00e9?a=\u65e5"])
def test_an_expired_link_leads_to_the_fall_back_or_a_plain_page(client, link, fallback):
    type(link.account).objects.update(fallback_url=fallback)
    link.expires_at = now() - timedelta(seconds=1)
    link.save()
    answer = opened(client, link)
    assert answer.status_code == (302 if fallback else 404)
    if fallback:
        assert answer["Location"] == "https://shop.example/caf%C3%A9?a=%E6%97%A5"
    assert answer["Cache-Control"] == "no-store"
    assert not Click.objects.exists()


def test_a_link_lives_until_it_expires(client, link):
    link.expires_at = now() + timedelta(minutes=1)
    link.save()
    assert opened(client, link).status_code == 302


HOSTILE = [
    "unknown",
    "a\x00b",
    "\u65e5\u672c",
    "x" * 4_000,
    "x" * 64,
    "{click_id}",
    "..",
    "%",
    "'--",
    "\ud7ff\U0001f600",
]


@pytest.mark.parametrize("code", HOSTILE)
def test_a_strange_code_gets_a_plain_page(client, db, code):
    answer = client.get(f"/c/{quote(code, safe='')}", headers=PERSON)
    assert answer.status_code == 404
    assert len(answer.content) < 5_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=st.text(max_size=80), agent=st.binary(max_size=40))
def test_no_code_and_no_header_is_an_error_of_ours(client, link, code, agent):
    url = f"/c/{quote(code, safe='', errors='replace')}"
    assert client.get(url, HTTP_USER_AGENT=agent.decode("latin-1")).status_code < 500
    assert client.get(f"/c/{link.code}", HTTP_USER_AGENT=agent.decode("latin-1")).status_code == 302


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_a_link_is_only_read(client, link, method):
    assert getattr(client, method)(f"/c/{link.code}").status_code == 405


def test_openings_stand_in_the_totals_exactly_once(client, link):
    for agent in (ANDROID_PREVIEW, IPHONE, IPHONE):
        opened(client, link, **{"user-agent": agent})
    opened(client, LinkFactory(offer=link.offer, is_test=True))
    assert [clicks.tally(limit=3), clicks.tally(), clicks.tally()] == [3, 0, 0]
    rows = HourlyTotal.objects.values_list("kind", "n", "list_id")
    of_list = link.message.sending_list_id
    assert sorted(rows) == [("bot_click", 1, of_list), ("click", 2, of_list), ("counted_click", 1, of_list)]
    assert not Click.objects.filter(is_tallied=False).exists()


@pytest.mark.parametrize(
    ("template", "fix"),
    [
        ("https://{click_id}.example/c", "host name must be fixed"),
        ("https://n.example:{click_id}/c", "Not a web address|host name must be fixed"),
        ("javascript:alert(1)", "Begin with https://"),
        ("//n.example/c", "Begin with https://"),
        ("https:///c", "Begin with https://"),
        ("https://me@n.example/c", "user name"),
        ("https://n.example/c?a={sub1}", "{sub1} is not known"),
        ("https://n.example/c?a={click-id}", "{click-id} is not known"),
        ("https://n.example/c?a={click_id", "{click_id is not known"),
        ("https://n.example/c?a={{{click_id}}}", "not known"),
        ("https://n.example/c#{click_id}", "never reaches the network"),
        ("https://n.example/a b", "percent-encoded"),
        ("https://n.example/a\r\nSet-Cookie:x", "percent-encoded"),
        ("https://n.example\\@evil.example/", "percent-encoded"),
        ("https://n.example/\u65e5", "percent-encoded"),
    ],
)
def test_a_destination_is_refused_with_the_fix(template, fix):
    with pytest.raises(ValidationError, match=fix.replace("{", r"\{")):
        validate_destination(template)


@pytest.mark.parametrize("template", ["https://n.example/c?a={click_id}", "http://n.example:81/{{click_id}}#x"])
def test_an_ordinary_destination_is_accepted(template):
    validate_destination(template)


@pytest.mark.parametrize("query", ["aff_click_id=mine", "a=1&aff_click_id=", "aff%5Fclick_id=mine"])
def test_a_click_parameter_in_use_is_never_overwritten_but_refused_on_save(db, query):
    offer = OfferFactory.build(connection=NetworkConnectionFactory(), destination=f"https://n.example/c?{query}")
    with pytest.raises(ValidationError, match=r"write \{click_id\} where"):
        Offer.clean(offer)
    validate_click_parameter(f"https://n.example/c?{query}&x={{click_id}}", ("aff_click_id",))


@pytest.mark.django_db
def test_a_destination_of_ones_own_may_not_occupy_the_click_parameter() -> None:
    taken = Link(account=AccountFactory(), destination="https://shop.example.com/?click_id=7")
    with pytest.raises(ValidationError, match="click_id is in use"):
        taken.full_clean()
    taken.destination = "https://shop.example.com/?sub={click_id}&click_id=7"
    taken.full_clean()
