"""Owns the places a search looks in: each a table, the exact lookup in it that an index serves, and how a row found is told.

Nothing is counted: one row more than is shown tells that there are more.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F, Model, Q, QuerySet, Value

from postbacks.models import Click, Conversion, NetworkConnection
from sendinglists.models import Contact, Link, Message, ProviderAccount, SendingList, Suppression
from trackly.models import Account
from trackly.showing import Shown, To
from trackly.signing import token_hash
from trackly.stories import Table
from trackly.stories.rows import link, listed
from trackly.stories.terms import Terms
from trackly.support import telling
from trackly.support.telling import Cells
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, Reply, Source, time_of

SHOWN = 10
COLUMNS = ("When (UTC)", "What", "State", "In a sentence", "Account")

Rows = Mapping[type[Model], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One table as a search looks into it."""

    model: type[Model]
    title: str
    look: Callable[[Terms, Rows], Q | None]
    """What of it the terms mean, with what was found before; None: they cannot mean any of it."""
    look_also: Callable[[Terms, Rows], Q | None] | None = None
    """Asked apart: either of the two with the other would be looked for in every partition, by no index of its own."""
    tell: Callable[[Any, Terms], Cells]
    """When, what, state, and a sentence."""
    near: tuple[str, ...] = ("account",)
    """What is fetched along with a row."""
    leaves: tuple[str, ...] = ()
    """Columns that are large or secret, and not asked for."""
    newest: str = "id"
    belongs: bool = False
    """It is found by what it belongs to, not by a name of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found in one place, and how it is shown."""

    place: Place
    rows: Sequence[Any]

    def table(self, terms: Terms, *, may_see_accounts: bool) -> Table:
        return Table(
            title=self.place.title,
            columns=COLUMNS,
            rows=[(*self.place.tell(row, terms), _account(row, may_see_accounts)) for row in self.rows[:SHOWN]],
            empty="",
            more=_more(self.place.model, terms) if len(self.rows) > SHOWN else None,
        )


def search(terms: Terms, may_see: Callable[[type[Model]], bool]) -> list[Found]:
    """What stands under these terms, in the order of PLACES; without what the person may not see."""
    rows: dict[type[Model], Sequence[Any]] = defaultdict(list)
    for place in sorted(PLACES, key=lambda place: _FIRST.index(place.model) if place.model in _FIRST else len(_FIRST)):
        if may_see(place.model):
            rows[place.model] = _look(place, terms, rows)
    return [Found(place=place, rows=rows[place.model]) for place in PLACES if rows[place.model]]


def _look(place: Place, terms: Terms, rows: Rows) -> Sequence[Any]:
    looks = (place.look_also, place.look) if place.look_also else (place.look,)
    found = [row for look in looks for row in _asked(place, look(terms, rows))]
    return list({row.pk: row for row in found}.values())[: SHOWN + 1]


def _asked(place: Place, meant: Q | None) -> Sequence[Any]:
    if meant is None:
        return ()
    found: QuerySet[Any] = place.model._default_manager.filter(meant).defer(*place.leaves)
    if place.near:
        found = found.select_related(*place.near)
    # A sum is in no index. By the column itself the planner walks the newest rows until some fit, which may be all of them:
    # it takes what is rare for frequent.
    nothing = Value(timedelta(0)) if place.newest == "received_at" else Value(0)
    return list(found.order_by((F(place.newest) + nothing).desc())[: SHOWN + 1])


def _account(row: Any, may_see_accounts: bool) -> Shown:
    account = row if isinstance(row, Account) else row.account
    if account is None:
        return "nobody's"
    return link(account, account.name) if may_see_accounts else account.name


def _more(model: type[Model], terms: Terms) -> To | None:
    """The whole list, where one term means all of it."""
    asked = terms.phones[:1] if model in _BY_PHONE else terms.words[:1]
    return listed("all", model, q=asked[0]) if len(terms.words) + len(terms.phones) <= 2 and asked else None


# --- what the terms mean in each table


def _either(*parts: Q | None) -> Q | None:
    """Any of these; None when there is none."""
    met: Q | None = None
    for part in parts:
        if part is not None:
            met = part if met is None else met | part
    return met


def _in(field: str, values: Sequence[Any]) -> Q | None:
    return Q(**{f"{field}__in": values}) if values else None


def _requests(terms: Terms, rows: Rows) -> Q | None:
    return Q(ids__overlap=terms.ids) if terms.ids else None


def _own_requests(terms: Terms, rows: Rows) -> Q | None:
    # The source is told, so that the primary key serves whichever way round it stands.
    return _either(*(Q(uid=uid, received_at=time_of(uid), source__in=Source.values) for uid in terms.uids))


def _messages(terms: Terms, rows: Rows) -> Q | None:
    words = list(terms.words)
    return _either(
        _in("public_id", [word for word in words if len(word) == 8]),
        _in("reference", [word for word in words if len(word) <= 64 and not word.isdigit()]),
        _in("provider_message_id", words),
        _in("to", list(terms.phones)),
    )


def _clicks(terms: Terms, rows: Rows) -> Q | None:
    # Ours are lower case, and that is how a postback's is read.
    return _in("click_id", [word.lower() for word in terms.words if len(word) <= 64 and not word.isdigit()])


def _conversions(terms: Terms, rows: Rows) -> Q | None:
    return _either(
        _in("transaction_id", list(terms.words)),
        _in("click", [click.pk for click in rows[Click]]),
        # A click nobody knows stands in no index of conversions, but in that of the requests they came in.
        _in("request_uid", [*terms.uids, *(row.uid for row in rows[InboundRequest] if row.source == Source.POSTBACK)]),
    )


def _replies(terms: Terms, rows: Rows) -> Q | None:
    keyed = [row.party_id for row in rows[InboundRequest] if row.source == Source.WEBHOOK and row.party_id]
    return _either(
        _in("sender", list(terms.phones)),
        # The provider's id of a reply is one within its account: the request that brought it tells which.
        Q(provider_account__in=keyed, key__in=terms.words) if keyed and terms.words else None,
    )


def _events(terms: Terms, rows: Rows) -> Q | None:
    return _in("message", [message.pk for message in rows[Message]])


def _parked(terms: Terms, rows: Rows) -> Q | None:
    return _in("message_key", list(terms.words))


def _people(terms: Terms, rows: Rows) -> Q | None:
    return _in("phone", list(terms.phones))


def _links(terms: Terms, rows: Rows) -> Q | None:
    return _in("code", terms.link_codes)


def _lists(terms: Terms, rows: Rows) -> Q | None:
    return _in("number", [*terms.phones, *(word for word in terms.words if word.isdigit() and len(word) <= 8)])


def _provider_accounts(terms: Terms, rows: Rows) -> Q | None:
    hashed = [token_hash(token) for token in terms.tokens]
    ids = [call.party_id for call in terms.calls if call.party_id and call.source == Source.WEBHOOK]
    return _either(
        _in("callback_token_hash", hashed),
        _in("previous_token_hash", hashed),
        _in("vendor_account", [word for word in terms.tokens if len(word) <= 100]),
        _in("id", ids),
    )


def _connections(terms: Terms, rows: Rows) -> Q | None:
    hashed = [token_hash(token) for token in terms.tokens]
    ids = [call.party_id for call in terms.calls if call.party_id and call.source == Source.POSTBACK]
    return _either(_in("postback_token_hash", hashed), _in("previous_token_hash", hashed), _in("id", ids))


def _accounts(terms: Terms, rows: Rows) -> Q | None:
    return _in(
        "public_id", list(dict.fromkeys([*terms.tokens, *(call.account for call in terms.calls if call.account)]))
    )


# What people come for stands first.
PLACES = (
    Place(model=Conversion, title="Conversions", look=_conversions, tell=telling.conversion, leaves=("query",)),
    Place(model=Message, title="Messages", look=_messages, tell=telling.message, leaves=("body",)),
    Place(model=Reply, title="Replies", look=_replies, tell=telling.reply),
    Place(model=Click, title="Clicks", look=_clicks, tell=telling.click, near=("account", "offer")),
    Place(model=Contact, title="Contacts", look=_people, tell=telling.contact),
    Place(model=Suppression, title="Suppressions", look=_people, tell=telling.suppression),
    Place(model=ParkedReport, title="Parked reports", look=_parked, tell=telling.parked, leaves=("report",)),
    Place(
        model=InboundRequest, title="Raw requests", look=_requests, look_also=_own_requests, tell=telling.request,
        leaves=("host", "path", "query", "headers", "body", "sealed", "answer"), newest="received_at",
    ),
    Place(
        model=DeliveryEvent, title="Delivery events of these messages", look=_events, tell=telling.event,
        near=("account", "message"), belongs=True,
    ),
    Place(model=Link, title="Short links", look=_links, tell=telling.link, near=("account", "offer")),
    Place(model=SendingList, title="Sending lists", look=_lists, tell=telling.sending_list),
    Place(
        model=ProviderAccount, title="Provider accounts", look=_provider_accounts, tell=telling.provider_account,
        leaves=("credentials", "callback_token"),
    ),
    Place(
        model=NetworkConnection, title="Network connections", look=_connections, tell=telling.connection,
        leaves=("postback_token",),
    ),
    Place(model=Account, title="Accounts", look=_accounts, tell=telling.account, near=()),
)  # fmt: skip
# Others are looked for by what stands here.
_FIRST = (InboundRequest, Click, Message)
_BY_PHONE = (Contact, Suppression, Reply)
