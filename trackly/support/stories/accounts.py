"""Owns the stories of an account, of its keys, and of an audit entry."""

from urllib.parse import urlencode

from django.urls import reverse

from trackly.models import Account, ApiKey, AuditEntry, WorkerRun
from trackly.showing import Badge, Link, Shown, tone_of
from trackly.stories import Act, Story, Table
from trackly.support.stories.rows import change_url, list_url

_LISTS = (
    ("Messages", "sendinglists_message"),
    ("Delivery events", "webhooks_deliveryevent"),
    ("Replies", "webhooks_reply"),
    ("Clicks", "postbacks_click"),
    ("Conversions", "postbacks_conversion"),
    ("Raw requests", "webhooks_inboundrequest"),
    ("Failed webhooks", "webhooks_failedwebhook"),
    ("Sending lists", "sendinglists_sendinglist"),
    ("Audit", "trackly_auditentry"),
)


def account_story(row: Account) -> Story:
    """What belongs to the account, and where to look."""
    parties = [
        (Link(party.name, change_url(party)), party.provider) for party in row.provideraccount_set.order_by("-id")[:20]
    ]
    connections = [
        (Link(item.name, change_url(item)), item.network) for item in row.networkconnection_set.order_by("-id")[:20]
    ]
    lists: list[tuple[Shown, ...]] = [(Link(title, of_account(name, row)),) for title, name in _LISTS]
    return Story(
        state=Badge(row.get_status_display(), tone_of(row.status)),
        headline=row.name,
        why=(f"Its money is in {row.currency}, its days begin in {row.time_zone}.",),
        tables=(
            Table(
                title="Provider accounts", columns=("Name", "Provider"), rows=parties, empty="None: no SMS can be sent."
            ),
            Table(title="Network connections", columns=("Name", "Network"), rows=connections, empty="None."),
            Table(title="Its lists", columns=("Table",), rows=lists, empty=""),
            Table(
                title="People", columns=("Who", "Role"), rows=_people(row), empty="Nobody can sign in to this account."
            ),
        ),
    )


def _people(row: Account) -> list[tuple[Shown, ...]]:
    members = row.membership_set.select_related("user").order_by("id")[:20]
    return [(str(member.user), member.get_role_display()) for member in members]


def of_account(table: str, row: Account) -> str:
    """The list of this table for this account alone."""
    return f"{reverse(f'admin:{table}_changelist')}?{urlencode({'account__id__exact': row.pk})}"


def key_story(row: ApiKey) -> Story:
    if row.revoked_at:
        return Story(state=Badge("Revoked", "bad"), headline=f"{row.name}: whoever uses this key is refused.")
    used = "It was never used." if row.last_used_at is None else "When it was last used stands in the list."
    act = Act(verb="revoke", label="Revoke", explain="Whoever uses it is refused from then on; it cannot be undone")
    return Story(
        state=Badge("Valid", "good"),
        headline=f"{row.name}, the key that begins with {row.beginning}",
        why=(used,),
        acts=(act,),
    )


def audit_story(row: AuditEntry) -> Story:
    """Who did what, with a way to the thing itself."""
    who = str(row.user) if row.user else "The system"
    same = f"{list_url(AuditEntry)}?{urlencode({'q': row.target})}"
    return Story(
        state=Badge(row.verb, "note"),
        headline=f"{who} {row.verb} {row.target}.",
        facts=(
            ("When", row.at),
            ("Account", Link(row.account.name, change_url(row.account)) if row.account else "None"),
            ("Detail", row.detail),
            ("Everything done to it", Link("audit entries", same)),
            ("Find it", Link(row.target, f"{reverse('admin:find')}?{urlencode({'q': row.target.rpartition(' ')[2]})}")),
        ),
    )


def run_end(row: WorkerRun) -> Shown:
    """How a run of a worker stands."""
    if row.ended_at is None:
        return Badge("Running", "good")
    return Badge("Ended cleanly", "note") if row.ended_cleanly else Badge("Died", "bad")
