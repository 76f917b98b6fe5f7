"""Owns the stories of what people set up: sending lists, network connections, offers, links."""

from django.conf import settings
from django.utils import timezone

from postbacks import networks
from postbacks.models import Click, Conversion, NetworkConnection, Offer
from sendinglists import setup
from sendinglists.domains import short_url
from sendinglists.models import Link as ShortLink
from sendinglists.models import SendingList
from trackly.showing import Badge, Phone, Raw, Shown, counted, tone_of
from trackly.stories import Story, Table
from trackly.stories.provider_accounts import from_reports, masked, named
from trackly.stories.rows import MOST, link, listed, state_of
from webhooks.inbound.models import FailedWebhook, InboundRequest, Source

_PAUSED = (
    "Nothing is sent by it: messages that come due are dropped with the reason inactive_list. It still takes delivery reports"
    " and STOP."
)


def list_story(row: SendingList, *, is_revealed: bool) -> Story:
    return Story(
        state=state_of(row, "status"),
        headline=f"{row.name}, sent by {named(row.provider_account)}.",
        why=(_PAUSED,) if row.status != SendingList.State.ACTIVE else (),
        facts=(
            ("Account", link(row.account)),
            ("Provider account", link(row.provider_account, named(row.provider_account))),
            ("Brand", row.brand),
            ("STOP closes", row.get_opt_out_scope_display()),
            ("Sends at most", f"{row.messages_per_minute:,} messages a minute"),
            ("Messages from reports", from_reports(row)),
        ),
        tables=(
            Table(
                title="Newest messages",
                columns=("Message", "To", "Status", "Created"),
                rows=[
                    (link(item), Phone(item.to), state_of(item, "status"), item.created_at)
                    for item in row.message_set.order_by("-id")[:10]
                ],
                empty="Nothing was sent by this list yet.",
            ),
        ),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def connection_story(row: NetworkConnection, *, is_revealed: bool) -> Story:
    """The URL the network must call, and the rules its postbacks are judged by."""
    adapter = networks.get(row.network)
    token = row.postback_token if is_revealed else masked(row.postback_token)
    url = f"{settings.PUBLIC_BASE_URL}/api/postbacks/{row.network}/{token}?{adapter.template if adapter else ''}"
    warning = setup.public_address_warning()
    return Story(
        state=Badge("Token only" if row.token_only else "Token or bare URL", "good" if row.token_only else "note"),
        headline=f"{row.name}: the contract of {row.account} with {row.get_network_display()}.",
        why=(warning,) if warning else (),
        facts=(
            ("Postback URL", Raw(url)),
            ("Click id goes out under", ", ".join(row.click_parameters)),
            ("Repeated hits", row.get_duplicate_rule_display()),
            ("Currency", row.currency or row.account.currency),
            ("Later than its window", f"after {row.attribution_window.days} days: {_late(row)}"),
            ("Addresses", row.get_address_policy_display()),
            ("Its postbacks", listed("conversions", Conversion, connection__id__exact=row.pk)),
            ("Refused and failed", listed("in the failed log", FailedWebhook, party_id=row.pk, source=Source.POSTBACK)),
            ("All its requests", listed("raw requests", InboundRequest, party_id=row.pk, source=Source.POSTBACK)),
        ),
        holds_secrets=True,
        is_revealed=is_revealed,
    )  # fmt: skip


def _late(row: NetworkConnection) -> str:
    return "does not count" if row.excludes_late else "counts, marked late"


def offer_story(row: Offer) -> Story:
    links = ShortLink.objects.filter(offer=row).order_by("-id")[:MOST]
    why = (
        []
        if row.default_payout is not None
        else ["It has no default payout: a postback that names no amount counts as 0."]
    )
    if row.connection is None:
        why.append("It belongs to no connection: its tracking link carries the click id under click_id.")
    return Story(
        state=state_of(row, "status"),
        headline=row.name,
        why=tuple(why),
        facts=(
            ("Account", link(row.account)),
            ("Connection", link(row.connection)),
            ("Leads to", Raw(row.destination)),
        ),
        tables=(
            Table(
                title="Its short links",
                columns=("Link", "Campaign", "Message"),
                rows=[(link(item), item.campaign, link(item.message)) for item in links.select_related("message")],
                empty="No short link leads here.",
            ),
        ),
    )


def link_story(row: ShortLink) -> Story:
    """Its openings, people apart from machines: "clicks are far higher than people"."""
    clicks = list(Click.objects.filter(link=row).order_by("-id")[: MOST * 4])
    people = [click for click in clicks if not click.bot]
    machines: dict[str, int] = {}
    for click in clicks:
        if click.bot:
            machines[click.bot] = machines.get(click.bot, 0) + 1
    newest = f"the newest {len(clicks)} openings" if len(clicks) == MOST * 4 else counted(len(clicks), "opening")
    words = ", ".join(f"{n} {bot}" for bot, n in sorted(machines.items(), key=lambda item: -item[1]))
    why = [
        f"Of {newest}, {len(people)} by people and {len(clicks) - len(people)} by machines{f' ({words})' if words else ''}."
    ]
    if row.message_id:
        why.append("It belongs to one message, so only the first opening by a person counts as its click.")
    return Story(
        state=Badge("Expired", "wait")
        if row.expires_at and row.expires_at <= timezone.now()
        else Badge("Open", "good"),
        headline=short_url(row),
        why=tuple(why),
        facts=(
            ("Account", link(row.account)),
            ("Offer", link(row.offer)),
            ("Leads to", Raw(row.destination or (row.offer.destination if row.offer else ""))),
            ("Message", link(row.message)),
            ("Expires", row.expires_at),
        ),
        tables=(
            Table(
                title="Openings",
                columns=("When", "Who", "Counted", "Browser", ""),
                rows=[_opening(click) for click in clicks[:MOST]],
                empty="Nobody opened it yet.",
                more=listed("all", Click, q=row.code),
            ),
        ),
    )


def _opening(click: Click) -> tuple[Shown, ...]:
    who = Badge(f"Machine: {click.bot}", "note") if click.bot else Badge("Person", tone_of("person"))
    return (click.at, who, "yes" if click.is_counted else "no", click.user_agent[:120], link(click, "click"))
