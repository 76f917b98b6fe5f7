"""Owns the help page: how each provider and network is set up, what verdicts mean, when what is tried again. All of it is read
from the code that does it, so that it cannot say anything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.http import HttpResponse

from postbacks import networks
from postbacks.networks.base import Network
from postbacks.verdicts import FIX, Verdict
from sendinglists.callbacks import is_switched_on
from trackly import retries
from trackly.pages.visits import Visit, page
from trackly.showing import Badge, lasting, tone_of
from webhooks import providers
from webhooks.orders import Hook
from webhooks.providers.base import Field, Provider

# Steps are told for some number: which one makes no difference to what they are.
_SOME_HOOK = Hook(url="https://hooks.example.com/…", name="trackly", numbers=("+18005550142",))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderGuide:
    """One SMS provider, in words."""

    name: str
    docs: str
    config: tuple[Field, ...]
    steps: tuple[str, ...]
    """What is configured there, or is to be done by hand; its own pages say which."""
    token_suffices: bool
    can_ask: bool
    alarms: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When something is tried again."""

    what: str
    waits: tuple[str, ...]
    then: str


@page()
def guide(visit: Visit) -> HttpResponse:
    shown = [item for slug, item in providers.all_providers().items() if is_switched_on(slug)]
    context = {
        "title": "Help",
        "providers": [_of_provider(item) for item in shown],
        "networks": [_of_network(item) for item in networks.all_networks().values()],
        "verdicts": [
            (Badge(verdict.label, tone_of(verdict)), FIX.get(verdict, "Nothing to do.")) for verdict in Verdict
        ],
        "schedules": _schedules(),
        "kept": (
            ("Requests of SMS providers, as they came", settings.RETENTION_WEBHOOKS_DAYS),
            ("Postbacks, as they came", settings.RETENTION_POSTBACKS_DAYS),
        ),
    }
    return visit.render("pages/help/guide.html", context)


def _of_provider(item: Provider) -> ProviderGuide:
    some = {field.name: field.default or (field.choices[0] if field.choices else "…") for field in item.config}
    return ProviderGuide(
        name=item.name,
        docs=item.docs,
        config=item.config,
        steps=tuple(step.title for step in item.steps(some, _SOME_HOOK)),
        token_suffices=item.token_suffices,
        can_ask=item.can_ask,
        alarms=item.alarms,
    )


def _of_network(item: Network) -> dict[str, object]:
    return {
        "name": item.name,
        "docs": item.docs,
        "parameters": item.click_parameters,
        "macro": item.click_macro,
        "payout": item.payout_macro,
        "template": item.template,
        "console": item.console,
        "tester": item.tester,
        "alarms": item.alarms,
    }


def _schedules() -> list[Schedule]:
    asked_first = settings.RECONCILE_AFTER
    return [
        _schedule(
            "Working off a delivery report, reply or postback", retries.INBOUND, "it stands in the failed webhooks"
        ),
        _schedule("Handing over a message that was certainly not taken", retries.SENDING, "the message has failed"),
        _schedule(
            "Asking for a message without a final status",
            (asked_first, *retries.ASKING),
            "only a report can tell",
            begins=False,
        ),
        _schedule("A step of a set-up at a provider", retries.SETUP, "the set-up has failed and says why"),
    ]


def _schedule(what: str, waits: tuple[timedelta, ...], then: str, *, begins: bool = True) -> Schedule:
    words = tuple(f"after {lasting(wait)}" for wait in waits)
    return Schedule(what=what, waits=("at once", *words) if begins else words, then=then)
