"""Owns the set-up of a provider account: whether its credentials are taken, and what is to be configured at its provider so
that callbacks reach us. The worker performs it step by step (sendinglists/configuring.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, transaction

from sendinglists.callbacks import callback_url
from sendinglists.models import ProviderAccount, SendingList, SetupStep
from trackly import wake
from trackly.calls import Barred, Dialogue, Unanswered, Unreached
from trackly.outgoing import hold_now
from trackly.text import clean
from webhooks import providers
from webhooks.orders import CannotUse, Checked, Hook, Outcome, Step, StepState
from webhooks.providers.base import Provider

Task = ProviderAccount.SetupTask
WebhookState = ProviderAccount.WebhookState
NO_ADDRESS = (
    "PUBLIC_BASE_URL is not set, so there is no address to give to the provider. Set it, restart, and configure again."
)

NO_LIST = (
    "It waits for its first list: without a number there is nothing to tell the provider. Make a list with a number of this"
    " account; the rest then happens by itself."
)
# Any number, to see what there would be to do with one.
_SOME_NUMBER = "+18005550142"


class NotAsked(CannotUse):
    """The provider could not be asked, so nothing is known about the credentials; later it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A step as it is to be performed now: done or taken back."""

    key: str
    title: str
    act: Callable[[], Dialogue[Outcome]]
    is_leftover: bool = False
    """Of a former set-up: once it is taken back nothing is left to tell."""


def check(provider: str, values: Mapping[str, str]) -> Checked:
    """What the provider says about these credentials; raises CannotUse, and NotAsked where it could not be asked."""
    adapter = providers.get(provider)
    if adapter is None:
        raise CannotUse(f"There is no provider {provider} any more; its file was removed.")
    try:
        return hold_now(adapter.check(values))
    except (Unreached, Unanswered) as error:
        said = in_words(error, adapter.name)
        if isinstance(error, Barred):
            raise CannotUse(f"{said.said} {said.fix}") from error
        raise NotAsked(f"{said.said} Nothing is wrong with your credentials as far as we know.") from error


def in_words(error: Unreached | Unanswered, name: str) -> Outcome:
    """Why no whole answer came, as the end of a step."""
    if isinstance(error, Barred):
        return Outcome(
            state=StepState.FAILED,
            said=f"That address of {name} may not be called. {error}",
            fix="Only public addresses are called; one inside your own network must stand in OUTGOING_ALLOW.",
        )
    verb = "could not be reached" if isinstance(error, Unreached) else "did not answer"
    return Outcome(state=StepState.FAILED, said=f"{name} {verb}. {error}", is_temporary=True)


def keep(row: ProviderAccount, checked: Checked, now: datetime) -> None:
    """Put down that the provider takes the credentials, and the numbers it listed. Does not save."""
    row.checked_at, row.check_cause = now, ""
    if checked.numbers is not None:
        row.numbers = [asdict(number) for number in checked.numbers]


def check_again(row: ProviderAccount, now: datetime) -> Checked:
    """Ask again with the credentials held, and put down what came of it; raises as check() does."""
    try:
        checked = check(row.provider, row.settings)
    except NotAsked:
        raise
    except CannotUse as error:
        row.check_cause = clean(str(error), 500)
        row.save(update_fields=["check_cause"])
        raise
    keep(row, checked, now)
    row.save(update_fields=["checked_at", "check_cause", "numbers"])
    return checked


def hook(row: ProviderAccount) -> Hook:
    """What its provider is to be told about us."""
    return Hook(
        url=callback_url(row),
        name=f"trackly-{row.account.public_id[:8].lower()}-{row.pk}",
        numbers=tuple(_numbers(row, SendingList.State.DELETED)),
    )


def errands(row: ProviderAccount) -> list[Errand]:
    """What its task asks for, in order; empty when nothing is to be done at the provider."""
    adapter = providers.get(row.provider)
    if adapter is None or row.setup_task == Task.NONE:
        return []
    is_leftover = row.setup_task == Task.CONFIGURE
    if is_leftover and missing(row):
        return []
    steps = adapter.steps(row.settings, hook(row)) if is_leftover else ()
    begun = set(row.steps.exclude(at=None).values_list("key", flat=True)) - {step.key for step in steps}
    # The last configured is the first taken back.
    back = [
        Errand(key=key, title=f"Take back: {same[0].title}", act=partial(_undo, same), is_leftover=is_leftover)
        for key, same in reversed(_ever(row, adapter).items())
        if key in begun
    ]
    # What is new stands before the old goes: there is no moment without either.
    return [*(Errand(key=step.key, title=step.title, act=step.do) for step in steps), *back]


def _ever(row: ProviderAccount, adapter: Provider) -> dict[str, list[Step]]:
    """Every step there may be of this account at its provider, with deleted lists and with credentials still held; once for
    each URL it may have told, of which half a configuration leaves two."""
    told = replace(hook(row), numbers=tuple(_numbers(row)))
    urls = dict.fromkeys(url for url in (row.configured_url, told.url) if url)
    found: dict[str, list[Step]] = {}
    for entry in row.credentials:
        everywhere = zip(*(adapter.steps(entry["values"], replace(told, url=url)) for url in urls), strict=True)
        for same in everywhere:
            found.setdefault(same[0].key, list(same))
    return found


def _undo(same: list[Step]) -> Dialogue[Outcome]:
    """Taken back wherever it leads; a later look that finds nothing of ours does not hide that something was."""
    ended = []
    for step in same:
        outcome = yield from step.undo()
        if outcome.state == StepState.FAILED:
            return outcome
        ended.append(outcome)
    done = [outcome for outcome in ended if outcome.state == StepState.DONE]
    said = " ".join(dict.fromkeys(outcome.said for outcome in done))
    return replace(done[0], said=said) if done else ended[-1]


def _numbers(row: ProviderAccount, *without: str) -> list[str]:
    return list(row.sendinglist_set.exclude(status__in=without).order_by("id").values_list("number", flat=True))


def want(row: ProviderAccount, task: ProviderAccount.SetupTask, now: datetime) -> None:
    """Have it configured, or taken back, from the beginning; the page shows the steps at once.

    A worker that is at a step finishes it, and what it did is done again where it did it with something else.
    """
    with transaction.atomic():
        # A worker that records waits here, or we for it.
        held = ProviderAccount.objects.select_for_update(no_key=True).get(pk=row.pk)
        held.setup_task, held.setup_due_at, held.setup_tries = task, now, 0
        held.webhook_state, held.webhook_state_at, held.webhook_state_cause = WebhookState.WORKING, now, ""
        planned = errands(held)
        # Credentials that lack something undo nothing that was done with others.
        if planned or not (task == Task.CONFIGURE and missing(held)):
            _lay(held, planned)
        if not planned:
            conclude(held, now)
        elif task == Task.CONFIGURE and not settings.PUBLIC_BASE_URL:
            end(held, WebhookState.FAILED, now, cause=NO_ADDRESS)
        save_state(held)
    for name in STATE:
        setattr(row, name, getattr(held, name))
    transaction.on_commit(wake.nudge)


def _lay(row: ProviderAccount, planned: list[Errand]) -> None:
    """A row for every errand; `at`, when it was last begun, stays."""
    SetupStep.objects.bulk_create(
        [
            SetupStep(provider_account=row, key=errand.key, position=position, title=errand.title[:200])
            for position, errand in enumerate(planned)
        ],
        update_conflicts=True,
        unique_fields=["provider_account", "key"],
        update_fields=["position", "title", "state", "said", "fix"],
    )
    lost = row.steps.exclude(key__in=[errand.key for errand in planned])
    # Never begun, or told once already.
    lost.filter(at=None).delete()
    lost.filter(state=StepState.WARNING, title__startswith="Left: ").delete()
    for step in lost:
        SetupStep.objects.filter(pk=step.pk).update(
            state=StepState.WARNING,
            title=f"Left: {step.title}"[:200],
            said="It was configured with settings that we do not have any more, so we cannot take it back.",
            fix="Look at the provider whether it still points to us, and remove it there.",
        )


# The columns that the queue and its outcome write; nothing else of the row is touched by it.
STATE = (
    "setup_task", "setup_due_at", "setup_tries", "setup_leased_until", "webhook_state", "webhook_state_at",
    "webhook_state_cause", "configured_url",
)  # fmt: skip

TOKEN = ("callback_token", "callback_token_hash", "previous_token_hash", "previous_token_until")


def save_state(row: ProviderAccount) -> None:
    row.save(update_fields=STATE)


def conclude(row: ProviderAccount, now: datetime) -> None:
    """Nothing is left to be done: how its configuration stands now. Does not save the row."""
    failed = row.steps.filter(state=StepState.FAILED).order_by("position").first()
    by_hand = row.steps.filter(state=StepState.BY_HAND)
    is_known = row.configured_url == callback_url(row)
    if row.setup_task == Task.CONFIGURE and missing(row):
        end(row, WebhookState.UNSET, now)
    elif failed is not None:
        end(row, WebhookState.FAILED, now, cause=f"{failed.said} {failed.fix}".strip())
    elif row.setup_task == Task.REMOVE:
        row.configured_url = ""
        end(row, WebhookState.REMOVED, now)
    elif by_hand.exists() and not is_known:
        end(row, WebhookState.BY_HAND, now)
    elif _waits(row):
        end(row, WebhookState.UNSET, now, cause=NO_LIST)
    else:
        by_hand.update(state=StepState.DONE, said="Callbacks come to this URL already.", fix="")
        row.configured_url = callback_url(row) if _steps(row) else ""
        end(row, WebhookState.CONFIGURED, now)


def _waits(row: ProviderAccount) -> bool:
    """Nothing could be done at its provider for want of a list."""
    if hook(row).numbers or row.steps.filter(state__in=[StepState.DONE, StepState.BY_HAND]).exists():
        return False
    return bool(_steps(row, _SOME_NUMBER))


def _steps(row: ProviderAccount, *more: str) -> tuple[Step, ...]:
    """What is configured at its provider, these numbers included."""
    adapter, ours = providers.get(row.provider), hook(row)
    return adapter.steps(row.settings, replace(ours, numbers=(*ours.numbers, *more))) if adapter else ()


def end(row: ProviderAccount, state: ProviderAccount.WebhookState, now: datetime, *, cause: str = "") -> None:
    """Its task is over. Does not save."""
    row.webhook_state, row.webhook_state_at, row.webhook_state_cause = state, now, cause[:500]
    row.setup_task, row.setup_due_at, row.setup_tries = Task.NONE, None, 0


def remove(row: ProviderAccount, now: datetime) -> None:
    """Retire it: nothing is sent with it any more, its lists are closed, and the provider is told to forget us."""
    with transaction.atomic():
        row.removed_at = row.removed_at or now
        row.save(update_fields=["removed_at"])
        row.sendinglist_set.update(status=SendingList.State.DELETED)
        want(row, Task.REMOVE, now)


def rotate(row: ProviderAccount, until: datetime, now: datetime) -> None:
    """A new callback token, and its URL to the provider; the old one stays valid until then."""
    with transaction.atomic():
        row.rotate_token(until=until)
        # Not the whole row: a worker may be writing how its configuration stands.
        row.save(update_fields=TOKEN)
        if is_set_up(row):
            want(row, Task.CONFIGURE, now)


def is_set_up(row: ProviderAccount) -> bool:
    """There is something to configure with, and no reason not to."""
    return row.removed_at is None and not missing(row)


def missing(row: ProviderAccount) -> list[str]:
    """The labels of required settings that have no value."""
    adapter, held = providers.get(row.provider), row.settings
    return [item.label for item in (adapter.config if adapter else ()) if item.required and not held.get(item.name)]


def public_address_warning() -> str:
    """Why our URLs may not work from outside; '' when nothing speaks against them."""
    base = settings.PUBLIC_BASE_URL
    if not base:
        return "PUBLIC_BASE_URL is not set, so the URLs here are incomplete and signatures cannot be checked."
    if not base.startswith("https://"):
        return f"The public address is {base}, without https: no provider should call it from outside."
    return ""


def warnings(row: ProviderAccount) -> list[str]:
    """What may keep its callbacks from reaching us, a sentence each, with what to do."""
    said = [public_address_warning()]
    is_set = row.webhook_state == WebhookState.CONFIGURED
    # Without a host it was told while we had no address: that is, not at all.
    if is_set and urlsplit(row.configured_url).netloc and row.configured_url != callback_url(row):
        said.append(_changed(row))
    if row.removed_at is None and (lacking := missing(row)):
        named = ", ".join(lacking)
        said.append(f"Its credentials are not entered yet ({named}): nothing can be sent or configured with it.")
    if row.check_cause:
        said.append(f"The credentials: {row.check_cause}")
    return [sentence for sentence in said if sentence]


def _changed(row: ProviderAccount) -> str:
    told, ours = urlsplit(row.configured_url), urlsplit(settings.PUBLIC_BASE_URL)
    if (told.scheme, told.netloc) == (ours.scheme, ours.netloc):
        return "The callback URL has changed since it was configured. Configure the webhooks again."
    return (
        f"The provider was told to call {told.scheme}://{told.netloc}, and our public address is now"
        f" {settings.PUBLIC_BASE_URL or 'not set'}. Configure the webhooks again."
    )


def look(row: ProviderAccount) -> list[tuple[str, Outcome]]:
    """(title, how it is found at the provider now) of each step; changes nothing."""
    adapter = providers.get(row.provider)
    if adapter is None or not is_set_up(row):
        return []
    return [(step.title, _look(step, adapter.name)) for step in adapter.steps(row.settings, hook(row))]


def _look(step: Step, name: str) -> Outcome:
    try:
        return hold_now(step.look())
    except (Unreached, Unanswered) as error:
        return in_words(error, name)
    except CannotUse as error:
        return Outcome(state=StepState.FAILED, said=str(error))


def heard(calls: Mapping[int, datetime], now: datetime) -> None:
    """Authenticated callbacks of these came, the newest then: whoever waited for one is configured.

    While a former token is valid too, a callback may be to the former URL, and shows nothing about the new one.
    """
    if not calls:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _HEARD,
            {
                "ids": list(calls),
                "times": list(calls.values()),
                "now": now,
                "by_hand": WebhookState.BY_HAND.value,
                "configured": WebhookState.CONFIGURED.value,
                "step_by_hand": StepState.BY_HAND.value,
                "step_done": StepState.DONE.value,
                "said": "The first authenticated callback came.",
            },
        )
        found = [row_id for (row_id,) in cursor.fetchall()]
    for row in ProviderAccount.objects.filter(pk__in=found).select_related("account") if found else ():
        row.configured_url = callback_url(row)
        row.save(update_fields=["configured_url"])


# Whoever is locked is passed over: the next callback finds it, and two batches never wait for each other.
_HEARD = """
WITH waiting AS (
    SELECT party.id FROM sendinglists_provideraccount party
    JOIN unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) AS call (party_id, received_at) ON party.id = call.party_id
    WHERE party.webhook_state = %(by_hand)s AND party.setup_task = '' AND call.received_at >= party.webhook_state_at
      AND (party.previous_token_until IS NULL OR party.previous_token_until <= call.received_at)
    FOR NO KEY UPDATE OF party SKIP LOCKED
), told AS (
    UPDATE sendinglists_setupstep SET state = %(step_done)s, said = %(said)s, fix = '', at = %(now)s
    WHERE provider_account_id IN (SELECT id FROM waiting) AND state = %(step_by_hand)s
)
UPDATE sendinglists_provideraccount SET webhook_state = %(configured)s, webhook_state_at = %(now)s, webhook_state_cause = ''
WHERE id IN (SELECT id FROM waiting)
RETURNING id
"""
