"""Owns the stories of an account, of its keys, and of an audit entry."""

from trackly.models import Account, ApiKey, AuditEntry, WorkerRun
from trackly.showing import Badge, Shown, To, tone_of
from trackly.stories import Act, Story, Table
from trackly.stories.rows import found_by, link, listed

_LISTS = (
    ("Messages", "sendinglists.message"),
    ("Delivery events", "webhooks.deliveryevent"),
    ("Replies", "webhooks.reply"),
    ("Clicks", "postbacks.click"),
    ("Conversions", "postbacks.conversion"),
    ("Raw requests", "webhooks.inboundrequest"),
    ("Failed webhooks", "webhooks.failedwebhook"),
    ("Sending lists", "sendinglists.sendinglist"),
    ("Audit", "trackly.auditentry"),
)


def account_story(row: Account) -> Story:
    """What belongs to the account, and where to look."""
    parties = [(link(party, party.name), party.provider) for party in row.provideraccount_set.order_by("-id")[:20]]
    connections = [(link(item, item.name), item.network) for item in row.networkconnection_set.order_by("-id")[:20]]
    lists: list[tuple[Shown, ...]] = [(of_account(title, table, row),) for title, table in _LISTS]
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


def of_account(title: str, table: str, row: Account) -> To:
    """The list of this table for this account alone."""
    return To(text=title, model=table, query=(("account__id__exact", str(row.pk)),))


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
    return Story(
        state=Badge(row.verb, "note"),
        headline=f"{who} {row.verb} {row.target}.",
        facts=(
            ("When", row.at),
            ("Account", link(row.account, row.account.name) if row.account else "None"),
            ("Detail", row.detail),
            ("Everything done to it", listed("audit entries", AuditEntry, q=row.target)),
            ("Find it", found_by(row.target.rpartition(" ")[2], row.target)),
        ),
    )


def run_end(row: WorkerRun) -> Shown:
    """How a run of a worker stands."""
    if row.ended_at is None:
        return Badge("Running", "good")
    return Badge("Ended cleanly", "note") if row.ended_cleanly else Badge("Died", "bad")
