"""Owns the worker's line of configuration: one step at one provider account after the other, each recorded as soon as it ended.

An account is leased while a step of it is performed; a worker killed in the middle loses that step alone, which is then done
again. Steps of one account never run side by side.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from sendinglists.models import ProviderAccount, SetupStep
from sendinglists.setup import NO_ADDRESS, Errand, conclude, end, errands, hook, in_words, save_state
from trackly import metrics, retries
from trackly.calls import Unanswered, Unreached
from trackly.dispatch import Line
from trackly.outgoing import Client, hold
from trackly.worker import TROUBLE
from webhooks import providers
from webhooks.orders import CannotUse, Hook, Outcome, StepState

logger = structlog.get_logger(__name__)

Task = ProviderAccount.SetupTask
# A step may be many calls, each within its own deadline; the lease outlives them.
DEADLINE = timedelta(seconds=90)
LEASE = timedelta(minutes=2)
_MISTAKE = "This is a mistake of ours: the worker's log has the details. Configure again once it is mended."


@dataclass(frozen=True, slots=True, kw_only=True)
class With:
    """What a step is performed with; done with anything else, it is done again."""

    task: str
    values: dict[str, str]
    hook: Hook


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step of one provider account."""

    account_id: int
    provider: str
    errand: Errand
    made_with: With
    lease: datetime


class Configuring(Line[Job, Outcome]):
    """The queue of configuration: ProviderAccount.setup_due_at."""

    name = "configuring"
    share = 0.125

    def claim(self, now: datetime, free: int) -> list[Job]:
        """The next step of each due account, leased."""
        with transaction.atomic():
            is_free = Q(setup_leased_until=None) | Q(setup_leased_until__lte=now)
            due = ProviderAccount.objects.exclude(setup_task=Task.NONE).filter(is_free, setup_due_at__lte=now)
            # Not against keys: whoever writes a message or a reply of the account holds those.
            locked = due.select_for_update(skip_locked=True, no_key=True)
            found = list(locked.order_by("setup_due_at").values_list("pk", flat=True)[:free])
            jobs = [_try_to_begin(row_id, now) for row_id in found]
        return [job for job in jobs if job is not None]

    async def do(self, job: Job, client: Client) -> Outcome:
        """How the step ended; raises nothing."""
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                return await hold(job.errand.act(), client)
        except (Unreached, Unanswered) as error:
            return in_words(error, _name_of(job.provider))
        except CannotUse as error:
            return Outcome(state=StepState.FAILED, said=str(error))
        except TimeoutError:
            said = f"{_name_of(job.provider)} took longer than {DEADLINE.total_seconds():.0f} seconds."
            return Outcome(state=StepState.FAILED, said=said, is_temporary=True)
        except Exception:
            logger.exception("step failed", account=job.account_id, step=job.errand.key)
            return Outcome(
                state=StepState.FAILED,
                said="We did not understand what the provider answered.",
                fix=_MISTAKE,
            )

    def record(self, done: list[tuple[Job, Outcome]], now: datetime) -> None:
        """Put down how each step ended, and when the next one of its account is due."""
        for job, outcome in done:
            with transaction.atomic():
                _record(job, outcome, now)


def _try_to_begin(row_id: int, now: datetime) -> Job | None:
    """None, too, where it cannot even be begun: its credentials do not open, or its adapter fails. That stops no other."""
    try:
        with transaction.atomic():
            return _begin(ProviderAccount.objects.select_related("account").get(pk=row_id), now)
    except TROUBLE:
        raise
    except Exception:
        logger.exception("configuration not begun", account=row_id)
        ProviderAccount.objects.filter(pk=row_id).update(
            setup_task=Task.NONE,
            webhook_state=ProviderAccount.WebhookState.FAILED,
            webhook_state_at=now,
            webhook_state_cause=f"It could not be begun. {_MISTAKE}",
        )
        return None


def _begin(row: ProviderAccount, now: datetime) -> Job | None:
    """The next step of a row that is locked; None when none is left, which ends its task."""
    waiting = set(row.steps.filter(state=StepState.WAITING).values_list("key", flat=True))
    errand = next((errand for errand in errands(row) if errand.key in waiting), None)
    row.setup_leased_until = None
    if errand is None:
        conclude(row, now)
    elif row.setup_task == Task.CONFIGURE and not settings.PUBLIC_BASE_URL:
        end(row, ProviderAccount.WebhookState.FAILED, now, cause=NO_ADDRESS)
        errand = None
    else:
        row.setup_leased_until = now + LEASE
        row.steps.filter(key=errand.key).update(at=now)
    save_state(row)
    if errand is None:
        return None
    return Job(account_id=row.pk, provider=row.provider, errand=errand, made_with=_with(row), lease=now + LEASE)


def _with(row: ProviderAccount) -> With:
    return With(task=row.setup_task, values=row.settings, hook=hook(row))


def _record(job: Job, outcome: Outcome, now: datetime) -> None:
    rows = ProviderAccount.objects.select_for_update(of=("self",), no_key=True).select_related("account")
    row = rows.filter(pk=job.account_id, setup_leased_until=job.lease).first()
    if row is None:
        logger.warning("step came back too late", account=job.account_id, step=job.errand.key)
        return
    row.setup_leased_until = None
    # Asked for anew meanwhile, with other credentials, numbers or another address: it is due as it is.
    if _with(row) == job.made_with:
        _put_down(row, job.errand, outcome, now)
        logger.info("step ended", account=row.pk, step=job.errand.key, state=str(outcome.state))
    save_state(row)


def _put_down(row: ProviderAccount, errand: Errand, outcome: Outcome, now: datetime) -> None:
    again = retries.next_attempt_at(retries.SETUP, row.setup_tries + 1, now) if outcome.is_temporary else None
    _tell(row.steps.get(key=errand.key), errand, outcome, now, is_over=again is None)
    end_state = str(outcome.state if again is None else "again")
    transaction.on_commit(metrics.SETUP_STEPS.labels(row.provider, end_state).inc)
    if again is not None:
        row.setup_tries, row.setup_due_at = row.setup_tries + 1, again
        row.webhook_state_cause = f"{outcome.said} It is tried again."[:500]
        return
    row.setup_tries, row.setup_due_at, row.webhook_state_cause = 0, now, ""
    if not row.steps.filter(state=StepState.WAITING).exists():
        conclude(row, now)


def _tell(step: SetupStep, errand: Errand, outcome: Outcome, now: datetime, *, is_over: bool) -> None:
    if errand.is_leftover and outcome.state in (StepState.DONE, StepState.WARNING):
        step.delete()
        return
    # Still to come, and what it said is why.
    step.state = outcome.state if is_over else StepState.WAITING
    step.said, step.fix, step.at = outcome.said[:1000], outcome.fix[:1000], now
    step.save()


def _name_of(provider: str) -> str:
    adapter = providers.get(provider)
    return adapter.name if adapter else provider
