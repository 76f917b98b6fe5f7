"""Owns the webhook panel: how the configuration of a provider account stands, in words, and whether it will go on by itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Sum

from sendinglists import setup
from sendinglists.callbacks import callback_url
from sendinglists.models import ProviderAccount, SetupStep
from trackly.pages.telling import of_set_up
from trackly.pages.visits import Visit
from trackly.showing import Shown, without_phones
from trackly.stories.provider_accounts import masked
from trackly.stories.rows import state_of
from trackly.stories.standings import LABELS
from webhooks.inbound.callers import last_called
from webhooks.inbound.models import RequestTotal, Source, Standing
from webhooks.orders import StepState

State = ProviderAccount.WebhookState
# A page that lies forgotten stops asking.
LASTS = timedelta(minutes=15)
MOST_STEPS = 300
# Neither of these is a refusal.
_FINE = (Standing.ACCEPTED, Standing.PROBE, Standing.DISCARDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step as the page shows it."""

    step: SetupStep
    state: Shown
    said: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    row: ProviderAccount
    state: Shown
    sentences: tuple[str, ...]
    """How it stands and what to do."""
    warnings: tuple[str, ...]
    steps: tuple[StepRow, ...]
    last_call: datetime | None
    refusals: tuple[tuple[str, int], ...]
    """(why, how many) of the last 24 hours."""
    is_going_on: bool
    """Something is under way, and the page will show it by itself."""
    again: str
    """What to ask for to see it go on; '' when there is nothing to wait for."""
    every: str

    @property
    def n_done(self) -> int:
        return sum(item.step.state in (StepState.DONE, StepState.WARNING) for item in self.steps)


def panel(visit: Visit, row: ProviderAccount, path: str, **query: str) -> Panel:
    """As it stands now; `path` and `query` are where the page asks for it again."""
    steps = tuple(_step(visit, step) for step in _steps(row))
    waits = row.webhook_state in (State.WORKING, State.BY_HAND)
    until = live_until(visit)
    is_going_on = waits and visit.now < until
    return Panel(
        row=row,
        state=state_of(row, "webhook_state"),
        sentences=tuple(of_set_up(visit, said) for said in _standing(row, steps, visit.now)),
        warnings=tuple(of_set_up(visit, said) for said in setup.warnings(row)),
        steps=steps,
        last_call=last_called(row.pk),
        refusals=refusals(row, visit.now),
        is_going_on=is_going_on,
        again=f"{path}?{urlencode({**query, 'until': int(until.timestamp())})}" if is_going_on else "",
        # What a person does by hand takes minutes.
        every="1s" if row.webhook_state == State.WORKING else "3s",
    )


def live_until(visit: Visit) -> datetime:
    """When a live part stops asking: said by its first reading, carried along in the address it asks for."""
    ends = visit.now + LASTS
    said = visit.request.GET.get("until", "")
    if not (said.isascii() and said.isdigit() and len(said) <= 12):
        return ends
    return min(ends, datetime.fromtimestamp(int(said), tz=visit.now.tzinfo)) if int(said) < ends.timestamp() else ends


def refusals(row: ProviderAccount, now: datetime) -> tuple[tuple[str, int], ...]:
    """What of its calls was refused or failed within 24 hours, by cause, the most first."""
    totals = RequestTotal.objects.filter(
        source=Source.WEBHOOK, slug=row.provider, party_id=row.pk, hour__gt=now - timedelta(days=1)
    )
    counted = totals.exclude(standing__in=_FINE).values_list("standing").annotate(n=Sum("n"))
    found = [(LABELS.get(standing, standing), n) for standing, n in counted if n]
    return tuple(sorted(found, key=lambda entry: -entry[1]))


def named_for(visit: Visit, name: str) -> str:
    """A name in the title of the browser's window. Many a list is called after its number, which a viewer does not see."""
    return name if visit.may_change else without_phones(name)


def shown_url(visit: Visit, row: ProviderAccount) -> str:
    """The callback URL; for a viewer with its token masked."""
    url = callback_url(row)
    return url if visit.may_change else url.replace(row.callback_token, masked(row.callback_token))


def holds_token(row: ProviderAccount) -> bool:
    """The callback URL holds a token that can be rotated."""
    return row.callback_token in callback_url(row)


def _step(visit: Visit, step: SetupStep) -> StepRow:
    said, fix = of_set_up(visit, step.said), of_set_up(visit, step.fix)
    return StepRow(step=step, state=state_of(step, "state"), said=said, fix=fix)


def _steps(row: ProviderAccount) -> list[SetupStep]:
    return list(row.steps.order_by("position", "pk")[:MOST_STEPS])


def _standing(row: ProviderAccount, steps: tuple[StepRow, ...], now: datetime) -> list[str]:
    match row.webhook_state:
        case State.UNSET:
            return [_unset(row)]
        case State.WORKING:
            return _working(row, now)
        case State.BY_HAND:
            return _by_hand(row, now)
        case State.CONFIGURED:
            if steps:
                return ["The provider knows where to call us."]
            return ["Nothing has to be configured at this provider: it learns our address with every message."]
        case State.FAILED:
            again = "Retire them again" if row.removed_at else "Configure again"
            return [f"{row.webhook_state_cause} Mend that, then press '{again}'."]
        case State.REMOVED:
            return ["Retired: nothing is sent with these credentials. What still arrives is still taken."]
    return []


def _unset(row: ProviderAccount) -> str:
    if row.webhook_state_cause:
        return row.webhook_state_cause
    if setup.missing(row):
        return "Enter the credentials first; the webhooks then configure themselves."
    return "Nothing was configured at the provider yet. Press 'Configure again'."


def _working(row: ProviderAccount, now: datetime) -> list[str]:
    if row.webhook_state_cause:
        return [row.webhook_state_cause]
    said = ["Telling the provider to forget us." if row.removed_at else "Telling the provider where to call us."]
    is_late = row.webhook_state_at is not None and now - row.webhook_state_at > timedelta(minutes=1)
    if is_late and row.setup_leased_until is None:
        said.append(
            "It has not gone on for a while: the service's worker may be stopped. Ask support, or whoever runs it."
        )
    return said


def _by_hand(row: ProviderAccount, now: datetime) -> list[str]:
    said = ["One thing is left to you: copy the callback URL to the provider, as its step says."]
    said.append("Its first call with proof ends the wait; send a test message to bring one about.")
    if row.previous_token_until and row.previous_token_until > now:
        said.append("While the former URL is still valid too, a call does not show which of the two was used.")
    return said
