"""Hits that may not count: stored and answered 200 all the same, explained, and counted once when the fault is mended."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from postbacks import correcting, directory
from postbacks.models import Conversion
from tests.factories import AddressRangeFactory, ClickFactory, NetworkConnectionFactory, now
from tests.postbacks.conftest import actual_totals, expected_totals
from trackly.signing import new_token, token_hash
from webhooks.inbound.models import InboundRequest, RefusalTally
from webhooks.inbound.replaying import replay

WRONG = {"token": "w" * 26}


def replayed(world, work_off, n=1):
    for _ in range(n):
        replay(InboundRequest.objects.all(), user=None, now=datetime.now(UTC))
        directory.forget()
        work_off()
    return Conversion.objects.get()


def swap_token(world, token, *, until=None):
    """A new token; the old one stays valid until then."""
    old = bytes(world.connection.postback_token_hash)
    overlap = {"previous_token_hash": old, "previous_token_until": until} if until else {}
    world.rule(postback_token=token, postback_token_hash=token_hash(token), **overlap)


def test_a_wrong_token_is_kept_told_and_not_counted(world):
    request = world.hit(payout=10, to=WRONG)
    assert bytes(request.answer).startswith(b"Stored, not counted: the token in this URL is wrong or was withdrawn")
    row = world.judged(request)
    assert (row.verdict, row.kind, row.account, row.is_verified) == ("bad_secret", "", world.account, False)
    assert world.totals() == {}
    assert actual_totals() == expected_totals()


def test_a_token_of_another_network_is_wrong(world):
    other = NetworkConnectionFactory(account=world.account, network="everflow")
    assert world.say(payout=10, to={"token": other.postback_token}).verdict == "bad_secret"


def test_plain_http_is_kept_told_and_not_counted(world, settings):
    settings.HTTPS_REQUIRED = True
    request = world.hit(payout=10)
    assert b"change http to https" in bytes(request.answer)
    assert world.judged(request).verdict == "plain_http"
    assert world.totals() == {}
    answer = world.client.get(f"{world.url()}click_id={world.click.click_id}&payout=10", secure=True)
    world.work()
    assert answer.status_code == 200
    assert world.totals() == {"conversion": (1, "10")}


@pytest.mark.parametrize("listed_by", ["staff", "owner"])
@pytest.mark.parametrize(
    ("policy", "listed", "verdict"),
    [
        ("off", "198.51.100.7", "recorded"),
        ("log", "198.51.100.7", "recorded"),
        ("enforce", "198.51.100.7", "ip_not_allowed"),
        ("enforce", "127.0.0.0/24", "recorded"),
        ("enforce", "", "recorded"),
    ],
)
def test_the_address_list_is_applied_as_the_policy_says(world, listed_by, policy, listed, verdict):
    if listed and listed_by == "staff":
        AddressRangeFactory(slug=world.connection.network, cidr=listed)
    world.rule(address_policy=policy, addresses=listed if listed_by == "owner" else "")
    row = world.say(payout=10)
    assert row.verdict == verdict
    assert world.totals() == ({"conversion": (1, "10")} if verdict == "recorded" else {})


def test_an_address_added_a_moment_ago_is_not_refused_from_memory(world, monkeypatch):
    world.rule(address_policy="enforce", addresses="198.51.100.7")
    world.hit(payout=10)
    soon = directory._remembered._timer() + 2
    monkeypatch.setattr(directory._remembered, "_timer", lambda: soon)
    world.connection.addresses += "\n127.0.0.1"
    world.connection.save()
    assert bytes(world.hit(payout=12).answer).startswith(b"Stored: ")


@pytest.mark.parametrize("fault", ["token", "http", "address"])
def test_a_replay_after_mending_counts_it_once(world, work_off, settings, fault):
    if fault == "token":
        world.say(payout=10, to=WRONG)
        swap_token(world, WRONG["token"])
    elif fault == "http":
        settings.HTTPS_REQUIRED = True
        world.say(payout=10)
        settings.HTTPS_REQUIRED = False
    else:
        world.rule(address_policy="enforce", addresses="198.51.100.7")
        world.say(payout=10)
        world.rule(addresses="198.51.100.7\n127.0.0.1")
    assert world.totals() == {}
    row = replayed(world, work_off, 3)
    assert (row.verdict, row.refusal, row.is_verified, row.connection) == ("recorded", "", True, world.connection)
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()
    assert InboundRequest.objects.get().sealed is None


def test_a_replay_before_mending_changes_nothing(world, work_off):
    world.say(payout=10, to=WRONG)
    assert replayed(world, work_off, 2).verdict == "bad_secret"
    assert actual_totals() == expected_totals()


def test_a_replay_of_what_counts_counts_nothing(world, work_off):
    world.say(payout=10)
    assert replayed(world, work_off, 2).verdict == "recorded"
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()


def test_accepting_a_refused_hit_counts_it_once_and_a_replay_no_second_time(world, work_off):
    world.say(payout=10, to=WRONG)
    assert [len(correcting.accept(Conversion.objects.all(), user=None, now=now())) for _ in range(2)] == [1, 0]
    swap_token(world, WRONG["token"])
    assert replayed(world, work_off).verdict == "recorded"
    assert world.totals() == {"conversion": (1, "10")}


def test_accepting_does_not_make_sense_of_what_made_none(world, settings):
    settings.HTTPS_REQUIRED = True
    row = world.say(payout="NaN")
    correcting.accept(Conversion.objects.all(), user=None, now=now())
    row.refresh_from_db()
    assert (row.verdict, row.kind) == ("bad_payout", "")


def test_both_tokens_count_while_they_rotate(world):
    old, new = world.connection.postback_token, new_token()
    swap_token(world, new, until=now() + timedelta(hours=1))
    assert world.say(payout=10, to={"token": old}).is_verified
    assert world.say(payout=10, txid="t1", goal_id=3, to={"token": new}).is_verified
    world.rule(previous_token_until=now() - timedelta(seconds=1))
    assert world.say(payout=10, txid="t2", to={"token": old}).verdict == "bad_secret"


def test_what_is_refused_and_names_nothing_known_is_sampled(world, settings):
    settings.REFUSED_SAMPLED_PER_MINUTE = 3
    url = f"{world.url(**WRONG)}click_id={'z' * 26}&payout=10"
    answers = [world.client.get(url) for _ in range(8)]
    kept = InboundRequest.objects.all()
    assert [answer.status_code for answer in answers].count(200) == kept.count()
    # A minute may end in the middle.
    assert 3 <= kept.count() <= 6
    assert sum(RefusalTally.objects.values_list("n", flat=True)) == 8
    assert {row.state for row in kept} == {"refused"}
    world.work()
    assert not Conversion.objects.exists()


def test_what_names_nobody_is_kept_up_to_a_daily_quota(world, settings):
    settings.REFUSED_KEPT_PER_DAY = 2
    url = f"{world.url(bare=True)}click_id={'z' * 26}&payout=10"
    answers = [world.client.get(url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].content.startswith(b"Not stored: ")
    assert InboundRequest.objects.count() == 2


def test_a_known_connection_has_a_quota_of_its_own(world, settings):
    settings.REFUSED_KEPT_PER_DAY = 2
    settings.HTTPS_REQUIRED = True
    url = f"{world.url()}click_id={world.click.click_id}&payout=10"
    assert [world.client.get(url).status_code for _ in range(3)] == [200, 200, 403]
    settings.HTTPS_REQUIRED = False
    assert world.client.get(url).status_code == 200


@pytest.mark.parametrize("fault", ["", "http", "token"])
def test_tokens_are_nowhere_in_the_clear(world, settings, fault):
    settings.HTTPS_REQUIRED = fault == "http"
    token = WRONG["token"] if fault == "token" else world.connection.postback_token
    request = world.hit(payout=10, to={"token": token})
    stored = InboundRequest.objects.values_list().get()
    text = b"|".join(bytes(value) if isinstance(value, memoryview | bytes) else str(value).encode() for value in stored)
    assert token.encode() not in text
    assert bytes(request.path) == f"/api/postbacks/tune/~{'' if fault == 'token' else world.connection.id}".encode()
    assert token not in str(Conversion.objects.filter(id=world.judged(request).id).values().get())


@pytest.mark.parametrize("to", [{}, {"bare": True}, WRONG])
def test_head_is_a_probe_and_never_a_conversion(world, settings, to):
    settings.REFUSED_SAMPLED_PER_MINUTE = 2
    answers = [world.client.head(f"{world.url(**to)}click_id={world.click.click_id}&payout=10") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert world.work() == 0
    assert {(row.method, row.outcome, row.state) for row in InboundRequest.objects.all()} == {("HEAD", "Probe", "done")}
    assert not Conversion.objects.exists()


@pytest.mark.parametrize("path", ["/api/postbacks/nobody", "/api/postbacks/nobody/token", "/api/postbacks/tune/a/b"])
def test_an_unknown_network_is_not_found_and_not_stored(db, client: Client, path):
    answer = client.get(f"{path}?click_id=a&payout=1")
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert not InboundRequest.objects.exists()


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
def test_other_methods_are_told_so(world, method):
    assert getattr(world.client, method)(world.url() + "payout=1").status_code == 405


@pytest.mark.parametrize("slash", ["", "/", "//"])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("bare", [False, True])
def test_no_form_of_the_path_redirects(world, slash, method, bare):
    path = world.url(bare=bare).rstrip("?") + slash
    answer = getattr(world.client, method)(f"{path}?click_id={world.click.click_id}&payout=10")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer["X-Content-Type-Options"] == "nosniff"
    world.work()
    assert Conversion.objects.get().verdict == "recorded"


def test_an_account_id_which_is_public_buys_no_unbounded_log(world, settings):
    settings.REFUSED_KEPT_PER_DAY = 2
    url = world.url(account=world.account.public_id)
    answers = [world.client.get(f"{url}click_id=madeup{n}&payout=1") for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert InboundRequest.objects.count() == 2


def test_a_click_flooded_without_the_token_still_counts_with_it(world, settings, monkeypatch):
    monkeypatch.setattr("postbacks.judging.UNVERIFIED_PER_CLICK", 3)
    settings.REFUSED_SAMPLED_PER_MINUTE = 0
    for n in range(3):
        world.say(f"click_id={world.click.click_id}&payout={n + 1}", to={"bare": True})
    flooded = world.client.get(f"{world.url(bare=True)}click_id={world.click.click_id}&payout=9")
    assert flooded.status_code == 429
    assert "with the token" in flooded.text
    assert world.say(payout="42").verdict == "recorded"


def test_a_flood_of_one_click_is_seen_before_it_is_judged(world, settings, monkeypatch):
    monkeypatch.setattr("postbacks.judging.UNVERIFIED_PER_CLICK", 3)
    settings.REFUSED_SAMPLED_PER_MINUTE = 0
    url = f"{world.url(bare=True)}click_id={world.click.click_id}&payout=9&txid="
    assert [world.client.get(f"{url}{n}").status_code for n in range(5)] == [200, 200, 200, 429, 429]
    assert InboundRequest.objects.count() == 3
    assert world.say(payout="42").verdict == "recorded"


def test_an_outdated_token_and_a_known_click_are_kept_whatever_strangers_send(world, elsewhere, settings):
    """Strangers use up what is kept of made-up clicks, of another account, and of this account's public id."""
    settings.REFUSED_KEPT_PER_DAY = 2
    for url in (world.url(bare=True), world.url(account=world.account.public_id), elsewhere.url(**WRONG)):
        click_id = elsewhere.click.click_id if WRONG["token"] in url else "madeup"
        answers = [world.client.get(f"{url}click_id={click_id}&payout=1").status_code for _ in range(3)]
        assert answers[:2] == [200, 200]
        assert answers[2] in (403, 429)
    assert world.say(payout=10, to=WRONG).verdict == "bad_secret"


def test_one_crowded_click_does_not_use_up_what_is_kept_of_the_accounts_others(world, settings, monkeypatch):
    monkeypatch.setattr("postbacks.judging.UNVERIFIED_PER_CLICK", 2)
    settings.REFUSED_KEPT_PER_DAY = 3
    settings.REFUSED_SAMPLED_PER_MINUTE = 0
    url = f"{world.url(**WRONG)}click_id={world.click.click_id}&payout="
    assert [world.client.get(f"{url}{n}").status_code for n in range(5)] == [200, 200, 403, 403, 403]
    world.click = ClickFactory(link=world.click.link)
    assert world.say(payout=10, to=WRONG).verdict == "bad_secret"


def test_the_advice_to_a_refused_hit_is_one_that_works(world, settings):
    settings.HTTPS_REQUIRED = True
    row = world.say(payout=10)
    assert "accept this hit" in row.fix
    assert "replay" not in row.fix
    assert correcting.accept(Conversion.objects.all(), user=None, now=now()) == [row.id]
    assert world.totals() == {"conversion": (1, "10")}
