"""Owns the pages of clicks: who opened links of the account, people first and machines apart."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponse

from postbacks.models import Click, Offer
from sendinglists.models import Link
from trackly.pages.forms import DayField, Form
from trackly.pages.links import counting
from trackly.pages.listing import NEWEST, Column, Listing, list_page, newest
from trackly.pages.visits import Visit, page
from trackly.showing import Badge, Phone, Shown, tone_of
from trackly.stories.conversions import click_story
from trackly.stories.rows import link as to
from trackly.text import clean

EMPTY = "Nobody opened a link yet. Make a link, or send a message with one: every opening appears here."


class Filter(Form):
    who = forms.ChoiceField(
        required=False, label="Who", choices=(("", "People"), ("machines", "Machines"), ("all", "People and machines"))
    )
    code = forms.CharField(required=False, max_length=200, label="Link")
    offer = forms.ModelChoiceField(queryset=Offer.objects.none(), required=False, label="Offer", empty_label="Any")
    campaign = forms.CharField(required=False, max_length=100, label="Campaign")
    click_id = forms.CharField(required=False, max_length=64, label="Click id")
    day = DayField("Day")

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.request.GET, offers={"offer": visit.rows(Offer).order_by("name")})

    def clean_code(self) -> str:
        """A whole address may be pasted: the code is its end."""
        return clean(str(self.cleaned_data["code"]).strip().rstrip("/").rpartition("/")[2].partition("?")[0], 64)

    def clean_click_id(self) -> str:
        return clean(str(self.cleaned_data["click_id"]).strip().lower(), 64)


_COLUMNS = (
    Column(title="When", show=lambda row: row.at),
    Column(title="Who", show=lambda row: who(row)),
    Column(title="Link", show=lambda row: to(row.link)),
    Column(title="Offer", show=lambda row: to(row.offer), is_minor=True),
    Column(title="Message", show=lambda row: to(row.message), is_minor=True),
    Column(title="To", show=lambda row: Phone(row.message.to) if row.message else None, is_minor=True),
    Column(title="List", show=lambda row: to(row.sending_list), is_minor=True),
    Column(title="Campaign", show=lambda row: row.link.campaign, is_minor=True),
)
_LISTING = Listing(
    noun="click", nouns="clicks", columns=_COLUMNS, empty=EMPTY,
    lookups={"offer": "offer", "campaign": "link__campaign", "click_id": "click_id"},
    # Those that are not lookups narrow the rows before the list sees them.
    indexed=frozenset({"click_id", "who", "code", "day"}), is_live=True,
)  # fmt: skip


@page()
def listed(visit: Visit) -> HttpResponse:
    form = Filter(visit)
    asked = form.cleaned_data if form.is_valid() else {}
    rows = _rows(visit, asked).select_related("link", "offer", "message", "sending_list")
    context: dict[str, Any] = {}
    if not visit.wants_part:
        context = {
            "totals": counting.totals(visit.account, visit.now),
            "newest": f"{NEWEST:,}" if _is_windowed(asked) else "",
        }
    return list_page(
        visit, _LISTING, rows, form=form, template="pages/links/clicks.html", context=context,
        leads=lambda row: visit.url("click", row.click_id),
    )  # fmt: skip


def _is_windowed(asked: Mapping[str, Any]) -> bool:
    """Nothing serves 'people' by an index: they are looked for among the newest."""
    return asked.get("who") != "all" and not asked.get("click_id")


def _rows(visit: Visit, asked: Mapping[str, Any]) -> QuerySet[Click]:
    rows = visit.rows(Click)
    if asked.get("click_id"):
        return rows
    if asked.get("code"):
        link = visit.rows(Link).filter(code=asked["code"]).first()
        # The account's, as the link is: an index of links alone finds them.
        rows = Click.objects.filter(link=link) if link else rows.none()
    if asked.get("day"):
        rows = _of_day(visit, rows, asked["day"])
    if _is_windowed(asked):
        rows = newest(rows, NEWEST)
    match asked.get("who"):
        case "all":
            return rows
        case "machines":
            return rows.exclude(bot="")
    return rows.filter(bot="")


def _of_day(visit: Visit, rows: QuerySet[Click], day: date) -> QuerySet[Click]:
    begin, end = (datetime.combine(day + timedelta(days=n), time.min, visit.zone) for n in (0, 1))
    before, last = counting.ids_between(visit.account, begin, end)
    return rows.filter(pk__gt=before, pk__lte=last, at__gte=begin, at__lt=end)


@page()
def show(visit: Visit, click: str) -> HttpResponse:
    rows = Click.objects.select_related("account", "link", "offer", "message", "sending_list")
    row = visit.one(rows, click_id=click)
    story = click_story(row, is_revealed=visit.may_change)
    return visit.render("pages/links/click.html", {"title": f"Click {row.click_id}", "story": story, "click": row})


def who(row: Click) -> Badge:
    """A person, or a machine and why."""
    test = ", test" if row.is_test else ""
    if row.bot:
        return Badge(f"Machine: {counting.REASONS.get(row.bot, row.bot)}{test}", tone_of("bot"))
    return Badge(f"Person{test}", tone_of("test" if row.is_test else "person"))


def opening_row(row: Click, visit: Visit) -> tuple[Shown, ...]:
    """On the page of its link."""
    at = f"{row.at.astimezone(visit.zone):%Y-%m-%d %H:%M:%S}"
    return (to(row, at), who(row), "yes" if row.is_counted else "no", row.user_agent[:120])
