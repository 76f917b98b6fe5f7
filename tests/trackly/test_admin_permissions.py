"""Who may see, do and load what in the admin: no permission, view only, anonymous, wrong addresses, and the browser's policy."""

from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import reverse

from postbacks.models import Conversion
from sendinglists.models import ProviderAccount, SubscriptionChange
from tests import factories
from tests.trackly.admin_rows import OURS, page, person, sale_and_stop
from trackly.models import AddressRange, ApiKey, AuditEntry
from trackly.support.pages import EvidencePage
from webhooks.inbound.models import FailedWebhook, InboundRequest

# (table, verb, what is typed)
ACTS = [
    (InboundRequest, "replay", ""),
    (InboundRequest, "discard", "why"),
    (InboundRequest, "allow", ""),
    (FailedWebhook, "replay", ""),
    (FailedWebhook, "discard", "why"),
    (Conversion, "accept", ""),
    (Conversion, "assign", "1"),
    (Conversion, "match", "abc"),
    (Conversion, "test", "a test of ours"),
    (SubscriptionChange, "undo", ""),
    (ApiKey, "revoke", ""),
    (ProviderAccount, "rotate", ""),
    (ProviderAccount, "configure", ""),
    (ProviderAccount, "check", ""),
    (ProviderAccount, "remove", "yes"),
]
SELECTED = [
    (InboundRequest, "replay"),
    (InboundRequest, "discard"),
    (FailedWebhook, "replay"),
    (Conversion, "accept"),
    (Conversion, "mark_as_test"),
    (SubscriptionChange, "undo"),
]
EVIDENCE = [model for model in OURS if isinstance(admin.site._registry[model], EvidencePage)]
WRONG_IDS = (
    "0",
    "-1",
    "9" * 40,
    "x",
    "..%2Fx",
    "%00",
    "1%00",
    "_00",
    "1_2F",
    "٣",
    "01a209b9-4d59-765e-b1ea-4dc84ae0e1ce",
    "a b",
    "%ED%A0%80",
)


def named(value: Any) -> str:
    return getattr(value, "__name__", None) or (value[:12] if isinstance(value, str) else "")


def signed_in(*codenames: str) -> Client:
    client = Client()
    client.force_login(person(*codenames))
    return client


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(person(is_superuser=True))
    return client


def world() -> dict[type[models.Model], Any]:
    """A row of each table, each in a state in which its acts would do something."""
    rows: dict[type[models.Model], Any] = {type(row): row for row in sale_and_stop()}
    InboundRequest.objects.filter(pk=rows[InboundRequest].pk).update(
        state="refused", refusal="ip_not_allowed", peer="198.51.100.9", slug="tune"
    )
    Conversion.objects.filter(pk=rows[Conversion].pk).update(verdict="held", account=None, click=None)
    for row in rows.values():
        row.refresh_from_db()
    rows[FailedWebhook] = FailedWebhook.objects.get(pk=rows[InboundRequest].pk)
    return rows


def do(model: Any, key: Any, verb: str) -> str:
    return page(model, "changelist") + f"{key}/do/{verb}/"


def state(row: models.Model) -> dict[str, Any]:
    fresh = type(row)._base_manager.get(pk=row.pk)
    return {item.attname: getattr(fresh, item.attname) for item in row._meta.concrete_fields}


# --- seeing


@pytest.mark.django_db
def test_who_may_not_see_a_table_gets_403_everywhere() -> None:
    rows = world()
    client = signed_in("view_group")
    for model in OURS:
        row = rows[model]
        urls = [page(model, "changelist"), page(model, "change", row.pk), page(model, "download", row.pk)]
        assert [client.get(url).status_code for url in urls] == [403, 403, 403]
        before = state(row)
        assert client.post(do(model, row.pk, "reveal")).status_code == 403
        for acting, verb, word in ACTS:
            if acting is model:
                assert client.post(do(model, row.pk, verb), {"word": word}).status_code == 403
        assert state(row) == before


@pytest.mark.django_db
def test_who_may_see_a_table_sees_it_and_changes_nothing() -> None:
    rows = world()
    for model in OURS:
        row = rows[model]
        client = signed_in(f"view_{model._meta.model_name}")
        shown = client.get(page(model, "change", row.pk))
        assert client.get(page(model, "changelist")).status_code == 200
        assert shown.status_code == 200
        for acting, verb, _ in ACTS:
            assert acting is not model or f"/do/{verb}/" not in shown.text, "a button that refuses"
        before = state(row)
        assert client.post(page(model, "change", row.pk), {"name": "x", "state": "done"}).status_code == 403
        assert client.get(page(model, "add")).status_code == 403
        assert client.post(page(model, "add"), {"name": "x"}).status_code == 403
        assert client.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        assert state(row) == before


@pytest.mark.django_db
def test_the_sidebar_shows_what_may_be_seen_and_nothing_else() -> None:
    shown = signed_in("view_message", "view_contact").get(reverse("admin:index")).text
    for model in OURS:
        path = page(model, "changelist")
        assert (f'href="{path}"' in shown) == (model._meta.model_name in ("message", "contact")), path


@pytest.mark.django_db
def test_the_search_finds_only_in_tables_that_may_be_seen() -> None:
    rows = world()
    asked = f"{reverse('admin:find')}?q={rows[InboundRequest].ids[0] if rows[InboundRequest].ids else 'x'}"
    assert "Raw requests" not in signed_in("view_contact").get(asked).text
    assert signed_in().get(asked).status_code == 200


@pytest.mark.django_db
def test_a_stranger_is_asked_to_sign_in(client: Client) -> None:
    rows = world()
    outsider = Client()
    outsider.force_login(factories.UserFactory())
    for model in OURS:
        row = rows[model]
        before = state(row)
        for url in (page(model, "changelist"), page(model, "change", row.pk), page(model, "download", row.pk)):
            assert client.get(url)["Location"] == f"/admin/login/?next={quote(url)}"
        assert client.post(do(model, row.pk, "reveal"))["Location"].startswith("/admin/login/")
        assert state(row) == before
        assert outsider.get(page(model, "changelist")).status_code == 302, "somebody who is no staff"


# --- doing


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "verb", "word"), ACTS, ids=named)
def test_view_alone_allows_no_act(model: Any, verb: str, word: str) -> None:
    rows = world()
    before = state(rows[model])
    AuditEntry.objects.all().delete()
    client = signed_in(f"view_{model._meta.model_name}")
    told = client.post(do(model, rows[model].pk, verb), {"word": word}, follow=True)
    assert "permission" in told.text
    assert state(rows[model]) == before
    assert not AddressRange.objects.filter(cidr="198.51.100.9").exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_an_address_is_only_offered_to_who_may_add_it() -> None:
    shown = page(InboundRequest, "change", world()[InboundRequest].pk)
    replaying = ("view_inboundrequest", "change_inboundrequest")
    assert "/do/allow/" not in signed_in(*replaying).get(shown).text
    assert "/do/allow/" in signed_in(*replaying, "add_addressrange").get(shown).text


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "action"), SELECTED, ids=named)
def test_view_alone_allows_no_action_on_selected_rows(model: Any, action: str) -> None:
    row = world()[model]
    before = state(row)
    client = signed_in(f"view_{model._meta.model_name}")
    listed = page(model, "changelist")
    assert f'value="{action}"' not in client.get(listed).text
    client.post(listed, {"action": action, "_selected_action": [str(row.pk)], "reason": "why", "sure": "yes"})
    assert state(row) == before


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "verb", "word"), ACTS, ids=named)
def test_an_act_is_only_done_by_a_post_with_the_form_of_the_page(
    staff: Client, model: Any, verb: str, word: str
) -> None:
    rows = world()
    before = state(rows[model])
    url = do(model, rows[model].pk, verb)
    assert staff.get(url).status_code == 405
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(person(is_superuser=True))
    assert forged.post(url, {"word": word}).status_code == 403
    assert state(rows[model]) == before


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "verb", "word"), [act for act in ACTS if act[1] not in ("assign", "match")], ids=named
)
def test_an_act_says_what_it_did_and_is_audited(staff: Client, model: Any, verb: str, word: str) -> None:
    rows = world()
    AuditEntry.objects.all().delete()
    told = staff.post(do(model, rows[model].pk, verb), {"word": word}, follow=True)
    assert told.redirect_chain[0][0] == page(model, "change", rows[model].pk)
    entry = AuditEntry.objects.get()
    assert entry.user.is_superuser
    assert verb == "allow" or entry.target.endswith(str(rows[model].pk))


@pytest.mark.django_db
def test_a_verb_that_is_no_act_is_not_found(staff: Client) -> None:
    rows = world()
    for model in OURS:
        row = rows[model]
        for verb in ("nothing", "__init__", "_", "url_of", "REVEAL", "reveal-", "delete"):
            assert staff.post(do(model, row.pk, verb)).status_code == 404, verb


@pytest.mark.django_db
def test_an_id_of_another_shape_is_not_found_and_breaks_nothing(staff: Client) -> None:
    for model in OURS:
        listed = page(model, "changelist")
        for key in WRONG_IDS:
            assert staff.get(f"{listed}{key}/download/").status_code == 404, key
            assert staff.post(f"{listed}{key}/do/reveal/").status_code == 404, key
            # Django itself goes back to the index and says that there is no such row.
            assert staff.get(f"{listed}{key}/change/").status_code in (302, 404), key
            assert staff.post(f"{listed}{key}/change/").status_code in (302, 403, 404), key


@pytest.mark.django_db
def test_not_even_a_superuser_edits_evidence(staff: Client) -> None:
    rows = world()
    for model in EVIDENCE:
        row = rows[model]
        before = state(row)
        n = model._base_manager.count()
        assert staff.get(page(model, "add")).status_code == 403
        assert staff.post(page(model, "add"), {"name": "x"}).status_code == 403
        assert staff.post(page(model, "change", row.pk), {"state": "done", "_save": "Save"}).status_code == 403
        assert staff.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        staff.post(
            page(model, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        )
        staff.post(page(model, "changelist"), {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "_save": "Save"})
        assert (state(row), model._base_manager.count()) == (before, n)


@pytest.mark.django_db
def test_what_is_set_up_is_not_deleted_because_evidence_refers_to_it(staff: Client) -> None:
    rows = world()
    for model in set(OURS) - set(EVIDENCE) - {AddressRange}:
        assert staff.post(page(model, "delete", rows[model].pk), {"post": "yes"}).status_code == 403, model
        assert model._base_manager.filter(pk=rows[model].pk).exists()


# --- loading


def policy(answer: Any) -> dict[str, set[str]]:
    parts = (part.split() for part in answer["Content-Security-Policy"].split(";"))
    return {part[0]: set(part[1:]) for part in parts if part}


WIDER = {"script-src": {"'self'", "'unsafe-eval'"}, "style-src": {"'self'", "'unsafe-inline'"}}


def is_strict(directives: dict[str, set[str]]) -> bool:
    return directives["default-src"] == {"'self'"} and not {"script-src", "style-src"} & directives.keys()


@pytest.mark.django_db
def test_pages_of_the_admin_have_the_exceptions_of_the_theme_and_nothing_wider(staff: Client) -> None:
    row = world()[InboundRequest]
    refused = {"action": "discard", "_selected_action": [str(row.pk)]}
    answers = [
        staff.get(reverse("admin:index")),
        staff.get(reverse("admin:find")),
        staff.get(page(InboundRequest, "changelist")),
        staff.get(page(InboundRequest, "change", row.pk)),
        staff.get(page(ProviderAccount, "add")),
        staff.get(reverse("admin:auth_user_changelist")),
        staff.post(page(FailedWebhook, "changelist"), refused),
    ]
    for answer in answers:
        directives = policy(answer)
        assert answer.status_code == 200
        assert {name: directives[name] for name in WIDER} == WIDER
        assert directives["default-src"] == directives["form-action"] == {"'self'"}
        assert directives["object-src"] == directives["base-uri"] == directives["frame-ancestors"] == {"'none'"}
        assert directives["img-src"] == {"'self'", "data:"}
        assert "https:" not in answer["Content-Security-Policy"]


@pytest.mark.django_db
def test_everything_else_has_the_strict_policy(client: Client) -> None:
    link = factories.LinkFactory()
    for path in ("/healthz", "/readyz", "/metrics", "/nothing", "/api/webhook-feedbacks/sandbox/x", "/api/postbacks/tune/x",
                 f"/c/{link.code}", "/c/unknown", "/", "/account/login/", "/api/webhook-feedbacks/nobody"):  # fmt: skip
        answer = client.get(path)
        assert is_strict(policy(answer)), path


# --- nonsense


@pytest.mark.django_db
@pytest.mark.parametrize("word", ["", "²", "٣", "9" * 40, "-1", "1.0", "\x00", "x" * 5000, "'; --"], ids=repr)
def test_an_act_with_a_word_that_means_nothing_changes_nothing(staff: Client, word: str) -> None:
    rows = world()
    hit = rows[Conversion]
    Conversion.objects.filter(pk=hit.pk).update(verdict="unknown_click")
    before = state(hit)
    for verb in ("assign", "match"):
        told = staff.post(do(Conversion, hit.pk, verb), {"word": word}, follow=True)
        assert told.status_code == 200
    assert state(hit) == before


@pytest.mark.django_db
def test_a_list_asked_for_with_nonsense_answers(staff: Client) -> None:
    world()
    values = ("", "x", "-1", "9" * 40, "²", "\x00", "<script>", "2026-13-45", "%")
    names = (
        "p", "o", "e", "q", "party_id", "account__id__exact", "state__exact", "slug", "slug__exact", "routed", "source__exact",
        "verdict__exact", "received_at_from_0", "received_at_to_0", "is_test__exact", "nothing", "contact__phone", "_popup",
    )  # fmt: skip
    broken = []
    for model in (InboundRequest, FailedWebhook, Conversion, ProviderAccount, SubscriptionChange, AuditEntry):
        for name in names:
            for value in values:
                answer = staff.get(page(model, "changelist"), {name: value})
                if answer.status_code not in (200, 302, 400):
                    broken.append((model.__name__, name, value, answer.status_code))
    assert broken == []


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["startswith", "contains", "regex", "gt", "endswith"])
def test_no_list_can_be_asked_for_a_masked_number_digit_by_digit(staff: Client, how: str) -> None:
    for model in OURS:
        for field in model._meta.concrete_fields:
            if field.get_internal_type() in ("CharField", "TextField", "BinaryField", "ArrayField"):
                answer = staff.get(page(model, "changelist"), {f"{field.name}__{how}": "1"})
                assert answer.status_code in (302, 400), f"{model.__name__}.{field.name}__{how}"


@pytest.mark.django_db
def test_who_changes_users_cannot_make_themselves_more_and_is_audited() -> None:
    modest = person("change_user", "view_user")
    client = Client()
    client.force_login(modest)
    url = f"/admin/auth/user/{modest.pk}/change/"
    client.post(url, {"username": modest.username, "is_active": "on", "is_staff": "on", "is_superuser": "on",
                      "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"})  # fmt: skip
    modest.refresh_from_db()
    assert not modest.is_superuser
    assert AuditEntry.objects.filter(verb="changed", target=f"user {modest.pk}").exists()
