"""What neither a viewer, nor a cache, nor a stranger learns from the account owner's pages, however they ask."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from postbacks.models import Conversion
from sendinglists.models import Link, SetupStep
from tests import factories
from tests.pages.conftest import Person
from tests.pages.test_access import PAGES, rows_of
from trackly.models import Account, AuditEntry, Membership
from trackly.pages.networks import firing
from trackly.pages.visits import VIEWER
from trackly.signing import token_hash

PHONE = "+14155550199"


def test_a_viewer_does_not_see_the_secret_reference_on_the_page_of_a_test_message(viewer: Person) -> None:
    message = factories.MessageFactory(
        sending_list=factories.SendingListFactory(
            provider_account=factories.ProviderAccountFactory(account=viewer.account)
        ),
        reference="knowsthisspeaksforprovider",
    )
    assert message.reference not in viewer.get("test_message", message.public_id).content.decode()


@pytest.mark.parametrize("name", ["contacts", "messages", "replies"])
def test_a_viewer_cannot_ask_a_list_whether_a_full_number_is_in_it(viewer: Person, name: str) -> None:
    """Of a masked number five digits are hidden: a hundred thousand questions of ten milliseconds tell them."""
    account = viewer.account
    party = factories.ProviderAccountFactory(account=account)
    factories.ContactFactory(account=account, phone=PHONE)
    factories.MessageFactory(sending_list=factories.SendingListFactory(provider_account=party), to=PHONE)
    factories.ReplyFactory(provider_account=party, sender=PHONE)
    right = viewer.client.get(viewer.url(name), {"phone": PHONE}, headers={"HX-Request": "true"}).content
    wrong = viewer.client.get(viewer.url(name), {"phone": f"{PHONE[:-1]}8"}, headers={"HX-Request": "true"}).content
    assert right.count(b"<tr") == wrong.count(b"<tr")


@pytest.mark.parametrize("known", [PHONE, "knowsthisspeaksforprovider"])
def test_a_viewer_cannot_ask_the_webhooks_for_a_number_or_a_reference(
    viewer: Person, member: Person, known: str
) -> None:
    request = factories.InboundRequestFactory(account=viewer.account, state="done", ids=[known])
    assert str(request.uid) in member.get("requests", q=known).content.decode()
    found = viewer.get("requests", q=known).content.decode()
    assert str(request.uid) not in found
    assert "Names the id or phone" not in found


def test_a_viewer_cannot_ask_the_lists_for_digits_of_their_numbers(viewer: Person, member: Person) -> None:
    party = factories.ProviderAccountFactory(account=viewer.account)
    row = factories.SendingListFactory(provider_account=party, number=PHONE, name="Spring")
    way = viewer.url("list", row.pk)
    assert way not in member.get("lists", number="99999").content.decode()
    assert way in viewer.get("lists", number="99999").content.decode()


def test_only_tests_have_the_page_of_a_test_message(owner: Person) -> None:
    sending_list = factories.SendingListFactory(
        provider_account=factories.ProviderAccountFactory(account=owner.account)
    )
    is_test, is_none = (factories.MessageFactory(sending_list=sending_list, is_test=it) for it in (True, False))
    codes = [owner.get("test_message", row.public_id).status_code for row in (is_test, is_none)]
    assert codes == [200, 404]


def test_a_viewer_does_not_see_the_reference_of_a_message_on_the_request_that_names_it(
    viewer: Person, member: Person
) -> None:
    party = factories.ProviderAccountFactory(account=viewer.account)
    message = factories.MessageFactory(
        sending_list=factories.SendingListFactory(provider_account=party), reference="knowsthisspeaksforprovider"
    )
    request = factories.InboundRequestFactory(
        account=viewer.account, source="webhook", ids=[message.reference], query=f"ref={message.reference}".encode()
    )
    pages = [who.get("request", request.uid).content.decode() for who in (member, viewer)]
    assert [message.reference in page for page in pages] == [True, False]


@pytest.mark.parametrize("name", ["credentials", "lists", "overview"])
def test_a_viewer_reads_no_token_that_a_provider_repeats_while_it_is_set_up(
    viewer: Person, member: Person, name: str
) -> None:
    party = factories.ProviderAccountFactory(account=viewer.account)
    factories.SendingListFactory(provider_account=party)
    said = f"Cannot call https://hooks.example.com/api/webhook-feedbacks/acme/{party.callback_token}"
    party.check_cause = said
    party.save()
    SetupStep.objects.create(provider_account=party, key="url", position=1, title="URL", said=said, fix=said)
    args = [party.pk] if name == "credentials" else []
    pages = [who.get(name, *args).content.decode() for who in (member, viewer)]
    assert [party.callback_token in page for page in pages] == [True, False]


def test_marks_that_turn_the_writing_do_not_act_in_titles(owner: Person) -> None:
    party = factories.ProviderAccountFactory(account=owner.account, name="Bank\u202egpj.exe")
    page = owner.get("credentials", party.pk).content.decode()
    assert "\u202e" not in page
    assert "<title>Bank‹U+202E›gpj.exe" in page


def test_the_link_of_an_invitation_is_kept_by_no_cache(owner: Person) -> None:
    answer = owner.post("invite", email="new@example.com", role="owner")
    assert b"/invitation/" in answer.content
    assert "no-store" in answer.headers.get("Cache-Control", "")


@pytest.mark.parametrize("name", ["connection", "credentials"])
def test_a_page_that_shows_a_token_is_kept_by_no_cache(owner: Person, name: str) -> None:
    page = next(item for item in PAGES if item.name == name)
    answer = owner.get(name, *rows_of(page, owner.account))
    assert "no-store" in answer.headers.get("Cache-Control", "")


def test_who_was_invited_is_told_to_owners_alone_in_the_history_as_well(owner: Person, viewer: Person) -> None:
    owner.post("invite", email="secret.hire@example.com", role="owner")
    assert b"secret.hire@example.com" not in viewer.get("people").content
    assert b"secret.hire@example.com" not in viewer.get("history").content


def test_whoever_holds_an_invitation_cannot_try_addresses_without_end(client: Client, account: Account) -> None:
    factories.UserFactory(username="victim", email="victim@example.com")
    factories.InvitationFactory(account=account, token_hash=token_hash("q" * 26))
    tried = {"username": "new", "email": "victim@example.com", "password1": "x", "password2": "y"}
    url = reverse("invitation", args=["q" * 26])
    last = [client.post(url, tried) for _ in range(60)][-1]
    assert last.status_code == 429


@pytest.mark.parametrize("page", [page for page in PAGES if page.callback.changes], ids=lambda page: page.name)
def test_no_form_is_taken_that_did_not_come_from_a_page_of_ours(page: Any, owner: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    url = reverse(f"pages:{page.name}", args=[owner.account.public_id, *rows_of(page, owner.account)])
    assert client.post(url, headers={"HX-Request": "true"}).status_code == 403


def test_who_was_made_a_viewer_changes_nothing_with_the_session_of_an_owner(owner: Person) -> None:
    Membership.objects.filter(user=owner.user).update(role=VIEWER)
    assert owner.post("invite", email="x@example.com", role="owner").status_code == 403
    assert owner.get("keys").status_code == 403


def test_the_sign_in_gives_the_session_a_new_id(client: Client, db: None) -> None:
    session = client.session
    session["planted"] = 1
    session.save()
    client.cookies["sessionid"] = planted = session.session_key
    factories.UserFactory(username="lola")
    client.post(reverse("account_login"), {"login": "lola", "password": "correct horse"})
    assert client.cookies["sessionid"].value != planted


def test_a_viewer_reads_no_token_that_a_network_put_into_the_query(viewer: Person, work_off: Callable[[], int]) -> None:
    """A URL pasted into a parameter of itself: the path is stored without its token, the query with it."""
    row = factories.NetworkConnectionFactory(account=viewer.account)
    Client().get(f"/api/postbacks/tune/{row.postback_token}?click_id=abcdefgh&payout=1&url=/tune/{row.postback_token}")
    work_off()
    hit = Conversion.objects.get()
    tail = {"show": "tail", "since": int(hit.received_at.timestamp())}
    pages = [
        viewer.get("conversion", f"{hit.request_uid}-{hit.item}"),
        viewer.get("request", hit.request_uid),
        viewer.get("connection", row.pk, **tail),
    ]
    assert [row.postback_token in page.content.decode() for page in pages] == [False] * 3


@pytest.mark.parametrize("name", ["replies", "contact"])
def test_a_number_that_is_known_is_masked_for_a_viewer_however_a_reply_spells_it(
    viewer: Person, member: Person, name: str
) -> None:
    party = factories.ProviderAccountFactory(account=viewer.account)
    contact = factories.ContactFactory(account=viewer.account, phone=PHONE)
    factories.ReplyFactory(provider_account=party, sender=PHONE, text="my number is 415 555 0199")
    args = [contact.pk] if name == "contact" else []
    pages = [who.get(name, *args).content.decode() for who in (member, viewer)]
    assert ["555 0199" in page for page in pages] == [True, False]


def test_a_hit_that_is_fired_is_put_down_although_nobody_answered(
    member: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes a link and a click before it asks."""

    def away(dialogue: Any, **options: Any) -> Any:
        dialogue.close()
        raise firing.Unreached("away")

    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    monkeypatch.setattr(firing, "hold_now", away)
    member.post("connection_fire", factories.NetworkConnectionFactory(account=member.account).pk, payout="1")
    assert Link.objects.exists()
    assert AuditEntry.objects.filter(account=member.account).exists()
