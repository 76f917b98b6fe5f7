"""What strangers write is harmless on every page of the admin, wherever it stands: it is read and never acts."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from postbacks.models import Conversion, NetworkConnection
from sendinglists.models import Link, Message
from tests import factories
from tests.trackly.admin_rows import page, pages_of, person, sale_and_stop
from webhooks.inbound.models import FailedWebhook, InboundRequest

BIDI = "\u202e\u2066\u200f\u200b\ufeff\u2028"
# The first characters count: short columns hold no more of it.
TEXTS = {
    "tags": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></textarea></title></pre></bdi><svg/onload=alert(1)>",
    "attributes": "' onmouseover='alert(1)' x-init=\"alert(1)\" y=`{{7*7}}{%load%}${alert(1)}",
    "urls": "javascript:alert(1)//https://alert(1)",
    "formulas": "=HYPERLINK(\"javascript:alert(1)\")+1-cmd|' /C calc'!A0",
    "marks": f"{BIDI}\x01\x1b[31m\x7f\x85txt.exe",
    "length": "W" * 4000,
}
BROKEN = b"\xff\xfe\xc3\x28\xed\xa0\x80\x00\x9f"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
# What people type into a form stands there as they typed it, or saving the form would change it.
FORM = {"textarea"}
URLS = {"href", "src", "action", "formaction", "data", "xlink:href", "poster", "srcset"}
SPOKEN = {"value", "title", "alt", "aria-label", "placeholder", "label", "content"}


class Reading(HTMLParser):
    """What a browser would make of a page: everything in it that acts, or could."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        named = {name: value or "" for name, value in attrs}
        if tag in {"iframe", "object", "embed", "base", "meta"} and not named.keys() <= {"charset", "name", "content"}:
            self.found.append(f"<{tag} {named}>")
        if tag == "script" and "src" not in named:
            self.open.append("inline script")
        for name, value in named.items():
            self._attribute(tag, name, value)

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on"):
            self.found.append(f"<{tag} {name}={value!r}>")
        if name in URLS and re.match(r"\s*(javascript|data|vbscript)\s*:", value, re.IGNORECASE):
            self.found.append(f"<{tag} {name}={value!r}>")
        if name in URLS and not re.match(r"(/(?!/)|[?#]|$|[^:]*$)", value):
            self.found.append(f"leads away: <{tag} {name}={value!r}>")
        # Whatever else an attribute is for, the theme may evaluate it: no word of a stranger stands in one.
        if name not in SPOKEN | URLS and ("alert(1)" in value or "7*7" in value or "WWWW" in value):
            self.found.append(f"<{tag} {name}={value!r}>")
        if name not in URLS and not (tag == "input" and name == "value"):
            self._text(f"<{tag} {name}>", value)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "inline script" and data.strip():
            self.found.append(f"inline script: {data[:80]!r}")
        if not FORM & set(self.open):
            self._text(f"<{self.open[-1] if self.open else ''}>", data)

    def _text(self, where: str, text: str) -> None:
        if acting := ACTING.search(text):
            around = text[max(acting.start() - 30, 0) : acting.start() + 20]
            self.found.append(f"U+{ord(acting.group()):04X} in {where}: {around!r}")

    def handle_endtag(self, tag: str) -> None:
        while tag in self.open and self.open.pop() != tag:
            pass


def what_acts(html: str) -> list[str]:
    reading = Reading()
    reading.feed(html)
    tags = re.findall(r"(?i)<(?:script>alert|img src=x|svg/|b>alert)", html)
    return sorted({*reading.found, *tags})


def poison(row: models.Model, text: str, n: int) -> None:
    """Every field a stranger or a customer may fill holds the text, cut to what the column takes."""
    changes: dict[str, Any] = {}
    for item in row._meta.concrete_fields:
        value = _poisoned(item, row, text, n)
        if value is not None:
            changes[item.attname] = value
    if changes:
        type(row)._base_manager.filter(pk=row.pk).update(**changes)
        row.refresh_from_db()


def _poisoned(item: Any, row: models.Model, text: str, n: int) -> Any:
    if item.is_relation or item.primary_key or item.choices or item.name in ("cidr", "currency", "password"):
        return None
    if item.name == "destination" and not row.__dict__["destination"]:
        return None
    if isinstance(item, models.CharField | models.TextField):
        # One that must be unique gets a number in front.
        return f"{n if item.unique else ''}{text}"[: item.max_length]
    if isinstance(item, ArrayField):
        return [text[: item.base_field.max_length or 40]]
    if isinstance(item, models.BinaryField) and not item.max_length and item.name != "sealed":
        return text.encode() + BROKEN + text.encode()
    if isinstance(item, models.JSONField):
        return {text: "approved"}
    return None


def poisoned_world(text: str) -> list[Any]:
    rows = sale_and_stop()
    for n, row in enumerate(rows):
        poison(row, text, n)
    return rows


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(person(is_superuser=True))
    return client


def opened(client: Client, url: str) -> HttpResponse:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer


@pytest.mark.django_db
@pytest.mark.parametrize("kind", TEXTS)
def test_it_is_read_and_never_acts_on_any_list_or_page(staff: Client, kind: str) -> None:
    rows = poisoned_world(TEXTS[kind])
    found: dict[str, list[str]] = {}
    for url in [*pages_of(rows), reverse("admin:index")]:
        answer = opened(staff, url)
        if answer["Content-Type"].startswith("text/html") and (acts := what_acts(answer.text)):
            found[url] = acts
    assert not found


@pytest.mark.django_db
@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_search_is_answered_and_shown_as_text(staff: Client, kind: str) -> None:
    for url in (reverse("admin:find"), page(InboundRequest, "changelist"), page(Message, "changelist")):
        assert not what_acts(opened(staff, f"{url}?{urlencode({'q': TEXTS[kind]})}").text)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["tags", "attributes", "marks"])
def test_what_a_search_finds_is_shown_as_text(staff: Client, kind: str) -> None:
    rows = {type(row): row for row in poisoned_world(TEXTS[kind])}
    for row, name in ((rows[Message], "reference"), (rows[Conversion], "transaction_id"), (rows[Link], "code")):
        type(row)._base_manager.filter(pk=row.pk).update(**{name: "sought-for-1"})
    answer = opened(staff, f"{reverse('admin:find')}?q=sought-for-1")
    assert "Message 5" in answer.text, "nothing was found"
    assert not what_acts(answer.text)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["tags", "marks"])
def test_what_an_action_asks_and_says_is_text(staff: Client, kind: str) -> None:
    rows = {type(row): row for row in poisoned_world(TEXTS[kind])}
    request, connection, hit = rows[InboundRequest], rows[NetworkConnection], rows[Conversion]
    InboundRequest.objects.filter(pk=request.pk).update(state="failed")
    chosen = {"action": "discard", "_selected_action": [str(request.pk)]}
    asked = staff.post(page(FailedWebhook, "changelist"), chosen)
    assert "Discard: 1 failed webhook" in asked.text
    assert not what_acts(asked.text)
    told = staff.post(f"/admin/webhooks/inboundrequest/{request.pk}/do/discard/", {"word": TEXTS[kind]}, follow=True)
    assert "It is discarded" in told.text
    assert not what_acts(told.text)
    Conversion.objects.filter(pk=hit.pk).update(verdict="bad_secret", click=None, account=None, network="tune")
    do = f"/admin/postbacks/conversion/{hit.pk}/do"
    for verb, word, said in (("match", TEXTS[kind], "There is no click"), ("assign", connection.pk, "Assigned to")):
        told = staff.post(f"{do}/{verb}/", {"word": word}, follow=True)
        assert said in told.text
        assert not what_acts(told.text)


@pytest.mark.django_db
def test_a_download_is_a_text_file_whatever_it_holds(staff: Client) -> None:
    row = factories.InboundRequestFactory(body=TEXTS["tags"].encode() + BROKEN, headers=BROKEN, path=BROKEN)
    answer = opened(staff, page(InboundRequest, "download", row.pk))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'attachment; filename="inboundrequest-{row.pk}.txt"'
    assert "<script>alert(1)</script>" in answer.text
    assert "\ufffd" in answer.text


@pytest.mark.django_db
def test_the_choices_of_a_filter_are_json(staff: Client) -> None:
    factories.AccountFactory(name=TEXTS["tags"][:100])
    asked = {"app_label": "sendinglists", "model_name": "message", "field_name": "account", "term": "script"}
    answer = staff.get(reverse("admin:autocomplete"), asked)
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["results"][0]["text"] == TEXTS["tags"][:100]


@pytest.mark.django_db
def test_saving_a_form_keeps_the_marks_that_stand_in_it(staff: Client) -> None:
    name = "מותג\u200f 7"
    row = factories.NetworkConnectionFactory(name=name, addresses="")
    shown = opened(staff, page(NetworkConnection, "change", row.pk)).text
    assert f'value="{name}"' in shown
    assert "<title>מותג‹U+200F› 7" in re.sub(r"\s*\n\s*|(?<=>) ", "", shown)


def test_the_reading_of_these_tests_sees_what_acts() -> None:
    for html in (
        "<script>alert(1)</script>", "<script>code()</script>", "<p onclick='x'>", "<a href='JavaScript:x'>",
        "<div x-data='{a: alert(1)}'>", "<p>\u202e</p>", "<p title='\u2066'>", "<a href='https://alert(1)'>",
    ):  # fmt: skip
        assert what_acts(html), html
    assert not what_acts("<input value='\u202e'><textarea>\u202e</textarea><a href='/x?q=%E2%80%AE'>&lt;script&gt;</a>")
