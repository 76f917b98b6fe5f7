"""Owns the page of the one search box: what was found under a pasted text, or what can be said when nothing was."""

from functools import partial

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from trackly.models import Account
from trackly.showing import Badge, phone, short
from trackly.stories import Story, Table
from trackly.stories.terms import Called, Terms, read
from trackly.support import sources
from trackly.support.permissions import may_see
from trackly.support.places import Found, search
from trackly.support.ways import change_url
from webhooks.inbound.models import InboundRequest, Source

# What stands in the box again; a page of text is not carried along.
MOST_SHOWN = 500

_CAN = (
    "Paste anything a ticket holds: a message's id or reference, the provider's id of it, a phone in any spelling, a click id, a"
    " transaction id, a short link or its code, a callback or postback URL whole (also a curl line), a request's id, or a piece"
    " of a log or of JSON with such ids in it.",
    "A code of a vendor's console (such as the debugger's error number) or a vendor's name shows what it means here and how that"
    " source stands.",
    "Ids are compared exactly. Names and parts of ids are looked for in the lists.",
)


def find_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """What is found; the row itself when it is the only one."""
    text = request.GET.get("q", "")
    terms = read(text)
    alarms = sources.asked(terms.text)
    found = search(terms, partial(may_see, request.user))
    named = [row for part in found if not part.place.belongs for row in part.rows]
    if len(named) == 1 and not alarms:
        return HttpResponseRedirect(change_url(named[0]))
    context = {
        **site.each_context(request),
        "title": "Find",
        "subtitle": None,
        "find_term": text[:MOST_SHOWN].replace("\x00", ""),
        "story": _story(request, terms, found, alarms),
    }
    return TemplateResponse(request, "admin/find.html", context)


def _story(request: HttpRequest, terms: Terms, found: list[Found], alarms: list[sources.Asked]) -> Story:
    if not terms.text:
        return Story(state=Badge("Find"), headline="What can be found here?", why=_CAN)
    may_ask = may_see(request.user, InboundRequest)
    tables = [part.table(terms, may_see_accounts=may_see(request.user, Account)) for part in found]
    if alarms and may_ask:
        calls = sources.calls(timezone.now())
        tables = [table for alarm in alarms for table in sources.card(alarm, calls)] + tables
    if found:
        headline, why = "This is what stands under it.", _taken(terms)
    elif alarms and may_ask:
        headline, why = (
            "What the vendor's console says, and how its source stands.",
            ("Nothing is stored under it as an id.",),
        )
    else:
        return _nothing(terms, may_ask=may_ask)
    return Story(state=Badge("found", "good"), headline=headline, why=why, tables=tuple(tables))


def _nothing(terms: Terms, *, may_ask: bool) -> Story:
    """What can be said when nothing is found."""
    return Story(
        state=Badge("not found", "wait"),
        headline="Nothing is stored under this.",
        why=(*_taken(terms), *_unopened(terms), *_advice(terms)),
        tables=tuple(_around(terms)) if may_ask else (),
    )


def _around(terms: Terms) -> list[Table]:
    held = sources.held()
    calls, places = sources.calls(timezone.now(), held), sources.places_of(terms)
    return [sources.last_table(calls, places), sources.refused_table(calls, places), sources.kept_table(held)]


def _taken(terms: Terms) -> tuple[str, ...]:
    """What the text was taken for, in words."""
    parts = [_call(call) for call in terms.calls]
    if terms.codes:
        parts.append(f"a short link with the code {short(terms.codes[0])}")
    if terms.phones:
        parts.append(f"a phone number, {' or '.join(phone(number) for number in terms.phones[:3])}")
    if terms.uids:
        parts.append("the id of a request")
    if terms.words:
        parts.append(_ids(terms))
    return (
        (f"We took it for {', and for '.join(parts)}.",) if parts else ("There is nothing in it that could be an id.",)
    )


def _call(call: Called) -> str:
    what = "a callback URL" if call.source == Source.WEBHOOK else "a postback URL"
    return f"{what} of {call.name}" if call.name else f"{what} of '{short(call.slug)}', which nobody here is called"


def _ids(terms: Terms) -> str:
    kinds = (
        "a click id, a message's reference or a token" if terms.tokens else "the id of a message, transaction or reply"
    )
    if not terms.is_blob:
        return kinds
    shown = ", ".join(short(word, 40) for word in terms.words[:5] if not _is_number_of(word, terms))
    return f"text with ids in it ({shown}{', …' if len(terms.words) > 5 else ''})" if shown else "text with ids in it"


def _is_number_of(word: str, terms: Terms) -> bool:
    """A phone without its plus, or a text that holds one: not repeated in full."""
    return any(number.lstrip("+") in word for number in terms.phones)


def _unopened(terms: Terms) -> tuple[str, ...]:
    opens = "The token in the URL opens nothing: it is wrong, or was withdrawn. Copy the URL again from its page."
    names = "No account has the id in ?account=."
    return (
        *((opens,) if any(call.token and call.name for call in terms.calls) else ()),
        *((names,) if any(call.account for call in terms.calls) else ()),
    )


def _advice(terms: Terms) -> tuple[str, ...]:
    if terms.phones and not terms.words:
        return (
            "Is the country code right? A number is found by the whole of it.",
            "If it wrote or was written to, ask for the exact time with its zone, and for the provider's own id of the message.",
        )
    quota = (
        "Refused requests are kept up to a quota: of each provider account or connection"
        f" {settings.REFUSED_KEPT_PER_DAY:,} a day, of those that name nobody {settings.REFUSED_SAMPLED_PER_MINUTE} a minute."
    )
    return (
        "Ask the network or provider for the exact time with its zone and for the whole URL it called, and paste that URL here:"
        " its own log shows both, and what we answered.",
        quota,
    )
