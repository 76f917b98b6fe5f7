"""Owns the tests of a connection: a test link, whose clicks count nothing, and a hit fired through the real endpoint."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from postbacks import clicks
from postbacks.models import Click, NetworkConnection, Offer
from sendinglists.destinations import validate_click_parameter, validate_destination
from sendinglists.models import Link
from trackly.pages.calling_out import Busy, may_call
from trackly.pages.forms import Form
from trackly.pages.networks import firing
from trackly.pages.networks.setup import one, whole
from trackly.pages.visits import MEMBER, Visit, act
from webhooks.inbound.models import InboundRequest, Source
from webhooks.inbound.views import raw_request

CAMPAIGN = "Test"


class LinkForm(Form):
    """An offer of the connection, or an address of one's own."""

    offer = forms.ModelChoiceField(Offer.objects.none(), required=False)
    destination = forms.CharField(required=False, max_length=2000, validators=[validate_destination])

    def __init__(self, visit: Visit, row: NetworkConnection) -> None:
        super().__init__(visit.request.POST)
        self.fields["offer"].queryset = visit.rows(Offer).filter(connection=row)  # type: ignore[attr-defined]

    def clean_destination(self) -> str:
        text = str(self.cleaned_data["destination"])
        if text:
            validate_click_parameter(text, ())
        return text

    def clean(self) -> None:
        given = self.cleaned_data
        if not given.get("offer") and not given.get("destination") and not self.errors:
            raise ValidationError("Choose an offer, or write where the test link leads.")


@act(changes=MEMBER)
def make_link(visit: Visit, connection_id: int) -> HttpResponse:
    row = one(visit, connection_id)
    form = LinkForm(visit, row)
    if not form.is_valid():
        said = " ".join(str(message) for messages in form.errors.values() for message in messages)
        return whole(visit, row, link_error=said, typed=visit.request.POST.get("destination", ""))
    offer = form.cleaned_data["offer"]
    with transaction.atomic():
        made = _made(visit, offer, "" if offer else form.cleaned_data["destination"])
        visit.audit(made, "made as a test", f"of connection {row.pk}")
    return _back(visit, row, "test-link", link=made.code)


def _made(visit: Visit, offer: Offer | None, destination: str) -> Link:
    return Link.objects.create(
        account=visit.account, offer=offer, destination=destination, campaign=CAMPAIGN, is_test=True
    )


@act(changes=MEMBER)
def fire(visit: Visit, connection_id: int) -> HttpResponse:
    row = one(visit, connection_id)
    form = firing.FireForm(visit, row, visit.request.POST)
    if not form.is_valid():
        return whole(visit, row, fire=form, fire_stands=True)
    try:
        with may_call(visit.account):
            return _fired(visit, row, form)
    except Busy as error:
        form.add_error(None, str(error))
        return whole(visit, row, fire=form, fire_stands=True)


def _fired(visit: Visit, row: NetworkConnection, form: firing.FireForm) -> HttpResponse:
    given = form.cleaned_data
    with transaction.atomic():
        click_id = given["click"] or _fresh_click(visit, given["offer"])
        visit.audit(row, "fired a test postback at", f"click {click_id}")
    began, url = timezone.now(), firing.url_of(row, click_id, given)
    outcome = firing.fire(url)
    uid = _stored(visit, row, click_id, began) if outcome.status == 200 else None
    if uid is not None:
        kept = {"link": code} if (code := visit.request.POST.get("link", "")[:64]) else {}
        return _back(visit, row, "tester", fired=uid, click=click_id, **kept)
    context = {"fire": form, "fire_stands": True, "outcome": outcome, "curl": firing.by_curl(url)}
    return whole(visit, row, **context)


def _fresh_click(visit: Visit, offer: Offer | None) -> str:
    """The click id of an opening of a test link, made as a phone makes one."""
    links = visit.rows(Link).filter(is_test=True, campaign=CAMPAIGN, offer=offer, message=None)
    link = links.order_by("-id").first() if offer else None
    if link is None:
        link = _made(visit, offer, "" if offer else _somewhere())
    clicks.open(link.code, replace(raw_request(visit.request, b""), method="GET"), now=timezone.now())
    made = Click.objects.filter(link=link).order_by("-id").values_list("click_id", flat=True).first()
    assert made is not None
    return made


def _somewhere() -> str:
    """Where a click leads that nobody follows."""
    return f"{settings.PUBLIC_BASE_URL or 'https://example.com'}/"


def _stored(visit: Visit, row: NetworkConnection, click_id: str, began: datetime) -> UUID | None:
    """The request that came in for this click since; None when what answered was not this installation."""
    # A request's time is cut to the millisecond.
    since = began.replace(microsecond=began.microsecond // 1000 * 1000)
    rows = visit.rows(InboundRequest).filter(source=Source.POSTBACK, received_at__gte=since, party_id=row.pk)
    return rows.filter(ids__contains=[click_id]).order_by("-received_at").values_list("uid", flat=True).first()


def _back(visit: Visit, row: NetworkConnection, place: str, **query: object) -> HttpResponse:
    answer = visit.redirect("connection", row.pk, **query)
    answer["Location"] += f"#{place}"
    return answer
