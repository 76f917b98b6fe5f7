"""Owns an account's search: what somebody pastes leads to its page. Every guess is looked up exactly, in this account alone."""

from collections.abc import Iterator
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpResponse, HttpResponseRedirect

from postbacks.models import Click, Conversion
from sendinglists.models import Contact, Link, Message, SendingList
from trackly.pages.visits import Visit, page
from trackly.showing import To
from trackly.stories.rows import link
from trackly.stories.terms import Terms, read
from webhooks.inbound.models import InboundRequest

SHOWN = 10


@page()
def find(visit: Visit) -> HttpResponse:
    text = visit.request.GET.get("q", "")
    found = list(_found(visit, read(text))) if text.strip() else []
    if len(found) == 1 and (url := visit.way(found[0])):
        return HttpResponseRedirect(url)
    return visit.render("pages/help/find.html", {"title": "Find", "text": text[:500], "found": found})


def _found(visit: Visit, terms: Terms) -> Iterator[To]:
    words, ids = list(terms.words), [word.lower() for word in terms.words]
    phones = list(terms.phones) if visit.may_change else []
    yield from _ways("Message", visit.rows(Message).filter(public_id__in=words))
    yield from _ways("Message", visit.rows(Message).filter(provider_message_id__in=words))
    yield from _ways("Contact", visit.rows(Contact).filter(phone__in=phones))
    yield from _ways("Click", visit.rows(Click).filter(click_id__in=ids))
    yield from _ways("Conversion", visit.rows(Conversion).filter(transaction_id__in=words))
    yield from _ways("Link", visit.rows(Link).filter(code__in=terms.link_codes))
    yield from _ways("Sending list", visit.rows(SendingList).filter(number__in=[*phones, *words]))
    yield from _requests(visit, terms.uids)


def _requests(visit: Visit, uids: tuple[UUID, ...]) -> Iterator[To]:
    """A postback's request is told by its conversion; any other by itself."""
    sales = list(visit.rows(Conversion).filter(request_uid__in=uids)[:SHOWN])
    yield from (_way("Conversion", row) for row in sales)
    known = {row.request_uid for row in sales}
    for uid in uids:
        row = InboundRequest.objects.by_uid(uid).filter(account=visit.account).first()
        if row is not None and uid not in known:
            yield _way("Request", row)


def _ways(noun: str, rows: QuerySet) -> Iterator[To]:
    return (_way(noun, row) for row in rows.order_by("-pk")[:SHOWN])


def _way(noun: str, row: Model) -> To:
    way = link(row)
    assert way is not None
    return To(text=f"{noun} {way.name}" if noun != "Contact" else str(row), model=way.model, key=way.key, name=way.name)
