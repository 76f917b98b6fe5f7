"""Owns the first steps of an account: what is done, what comes next, and where; computed from what there is."""

from dataclasses import dataclass

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q

from postbacks.models import Conversion, NetworkConnection, Offer
from sendinglists.models import Link, Message, ProviderAccount, SendingList
from trackly.models import Account, HourlyTotal
from trackly.pages.kinds import DELIVERED
from trackly.pages.visits import Visit

# Among so many newest messages a delivered test is looked for; what is no test stands in the totals.
_NEWEST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    is_done: bool
    title: str
    said: str
    url: str
    label: str


def first_steps(visit: Visit) -> list[Step]:
    """All of them, as long as one is to be done; then none."""
    done = _done(visit.account)
    steps = [
        Step(is_done=done[key], title=title, said=said, url=_url(visit, key), label=label)
        for key, title, said, label in _STEPS
    ]
    return [] if all(done.values()) else steps


_STEPS = (
    ("credentials", "Add credentials and a sending list",
     "Your keys at an SMS provider, or the sandbox, which sends nothing; and the number you send from.", "New sending list"),
    ("webhooks", "Have the webhooks configured",
     "We tell the provider where to report deliveries and replies. Where it lets nobody do that, the list's page says what to"
     " enter there.", "Sending lists"),
    ("delivered", "Send a test message",
     "Write to your own phone from a list's page, and watch the message until it is delivered.", "Sending lists"),
    ("connection", "Connect an affiliate network",
     "You get a postback URL of your own, with the network's macros in it.", "Connect a network"),
    ("postback", "See a postback arrive",
     "Fire the test on the network's page, or the network's own: it shows what was read and how it is judged.", "Networks"),
    ("offer", "Make an offer and a short link",
     "Clicks on the link are counted, and conversions find their way back to them.", "Offers"),
)  # fmt: skip


def _url(visit: Visit, key: str) -> str:
    names = {"credentials": "list_new", "connection": "connection_new", "postback": "connections", "offer": "offers"}
    return visit.url(names.get(key, "lists"))


def _done(account: Account) -> dict[str, bool]:
    """By the step's key; one statement, each part of which ends at the first row it finds."""
    mine = {"account": OuterRef("pk")}
    parties = ProviderAccount.objects.filter(**mine, removed_at=None)
    configured = parties.filter(webhook_state=ProviderAccount.WebhookState.CONFIGURED)
    newest = Message.objects.filter(account=account).order_by("-id").values("id")[:_NEWEST]
    tested = Message.objects.filter(id__in=newest, status__in=[kind.removeprefix("message_") for kind in DELIVERED])
    delivered = HourlyTotal.objects.filter(**mine, kind__in=DELIVERED, n__gt=0)
    lists = SendingList.objects.filter(**mine).exclude(status=SendingList.State.DELETED)
    asked = {
        "credentials": _all(Exists(parties), Exists(lists)),
        "webhooks": Exists(configured),
        "delivered": ExpressionWrapper(Q(Exists(delivered)) | Q(Exists(tested)), BooleanField()),
        "connection": Exists(NetworkConnection.objects.filter(**mine)),
        "postback": Exists(Conversion.objects.filter(**mine)),
        "offer": _all(Exists(Offer.objects.filter(**mine)), Exists(Link.objects.filter(**mine))),
    }
    found = Account.objects.filter(pk=account.pk).values_list(*asked.values()).get()  # type: ignore[arg-type]
    return dict(zip(asked, found, strict=True))


def _all(one: Exists, other: Exists) -> ExpressionWrapper:
    return ExpressionWrapper(Q(one) & Q(other), BooleanField())
