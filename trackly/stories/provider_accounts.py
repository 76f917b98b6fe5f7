"""Owns the story of a provider account: whether its callbacks reach us, what is configured at its provider, and what to do."""

from datetime import datetime

from django.conf import settings
from django.utils import timezone

from sendinglists import numbers, setup
from sendinglists.callbacks import callback_url
from sendinglists.forms import old_credentials
from sendinglists.models import ProviderAccount, SendingList
from trackly.showing import Badge, Phone, Raw, Shown, ago, tone_of
from trackly.stories import Act, Story, Table
from trackly.stories.rows import MOST, link, listed, state_of
from webhooks.inbound.callers import last_called
from webhooks.inbound.models import FailedWebhook, InboundRequest, Source
from webhooks.orders import StepState

State = ProviderAccount.WebhookState
# What the button that retires an account must come with.
SURE = "yes"
_TONES: dict[str, str] = {
    State.UNSET: "wait",
    State.WORKING: "wait",
    State.BY_HAND: "wait",
    State.REMOVED: "note",
    StepState.WAITING: "wait",
    StepState.DONE: "good",
    StepState.WARNING: "wait",
    StepState.BY_HAND: "wait",
    StepState.FAILED: "bad",
}


def provider_story(row: ProviderAccount, *, is_revealed: bool) -> Story:
    lists = list(row.sendinglist_set.order_by("-id")[:1_000])
    return Story(
        state=_badge(row.webhook_state, row.get_webhook_state_display()),
        headline=f"{row.name}: credentials at {row.get_provider_display()}, of {row.account}.",
        why=(*_standing(row), *setup.warnings(row), *_unproven(row)),
        facts=_facts(row, is_revealed=is_revealed),
        tables=_tables(row, lists),
        acts=_acts(row),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def named(row: ProviderAccount) -> str:
    return f"{row.name} at {row.get_provider_display()}"


def _tables(row: ProviderAccount, lists: list[SendingList]) -> tuple[Table, ...]:
    tables = (_steps_of(row), _lists_of(lists), *_numbers_of(row, lists))
    # Until the credentials are entered the form matters most: nothing empty stands above it.
    return tuple(table for table in tables if table.rows) if setup.missing(row) else tables


def _badge(word: str, label: str) -> Badge:
    return Badge(label, _TONES.get(word) or tone_of(word))


def _standing(row: ProviderAccount) -> list[str]:
    """What the state of its webhooks means, and what to do about it."""
    match row.webhook_state:
        case State.UNSET:
            return _unset(row)
        case State.WORKING:
            later = row.webhook_state_cause or "The steps below say how far it is."
            return [f"{later} Reload this page to see it go on."]
        case State.BY_HAND:
            return [_by_hand(row)]
        case State.FAILED:
            return [f"{row.webhook_state_cause} Mend that, then press '{_verb(row)}'."]
        case State.REMOVED:
            return ["It is retired. What still arrives is still taken."]
    return []


def _unset(row: ProviderAccount) -> list[str]:
    if row.webhook_state_cause:
        return [row.webhook_state_cause]
    # What is missing is among the warnings.
    if setup.missing(row):
        return []
    return [
        "Nothing was configured at the provider by us yet: press 'Configure webhooks', or register the URL by hand."
    ]


def _by_hand(row: ProviderAccount) -> str:
    first = "Press 'Reveal what is masked', then copy" if row.callback_token in callback_url(row) else "Copy"
    said = f"{first} the callback URL below to the provider; the steps say where. Its first authenticated callback ends the wait."
    until = row.previous_token_until
    if until and until > timezone.now():
        said += f" Not before {until:%Y-%m-%d %H:%M} UTC, when the former URL ends: until then a callback may be to that one."
    return said


def _unproven(row: ProviderAccount) -> list[str]:
    if row.demands_authentication:
        return []
    return [
        "Opt-outs without proof are applied and can be undone; switch the demand on as soon as the provider sends a token or "
        "a signature."
    ]


def _facts(row: ProviderAccount, *, is_revealed: bool) -> tuple[tuple[str, Shown], ...]:
    old = [entry["until"] for entry in old_credentials(row)]
    by_party = {"party_id": row.pk, "source": Source.WEBHOOK}
    proof = "demanded" if row.demands_authentication else "waived: anybody who knows the account id is believed"
    return (
        ("Its last call", _heard(row)),
        *_urls(row, is_revealed=is_revealed),
        ("Provider's account id", row.vendor_account),
        ("Credentials taken by the provider", row.checked_at),
        ("Old token valid until", _still(row.previous_token_until)),
        ("Old credentials valid until", ", ".join(old) or "none"),
        ("Proof", proof),
        ("Addresses", row.get_address_policy_display()),
        ("Retired", row.removed_at),
        ("Refused and failed", listed("in the failed log", FailedWebhook, **by_party)),
        ("All its requests", listed("raw requests", InboundRequest, **by_party)),
    )


def _heard(row: ProviderAccount) -> Badge:
    """Whether it ever called: what its webhooks are worth shows in that alone."""
    last = last_called(row.pk)
    return Badge(f"Called {ago(timezone.now() - last)}", "good") if last else Badge("Never called", "wait")


def _urls(row: ProviderAccount, *, is_revealed: bool) -> list[tuple[str, Shown]]:
    """The one to register, and the one without a secret where they differ."""
    url = callback_url(row)
    open_url = f"{settings.PUBLIC_BASE_URL}/api/webhook-feedbacks/{row.provider}?account={row.account.public_id}"
    shown = url if is_revealed else url.replace(row.callback_token, masked(row.callback_token))
    urls: list[tuple[str, Shown]] = [("Callback URL", Raw(shown))]
    return urls if url == open_url else [*urls, ("The same without the token", Raw(open_url))]


def masked(token: str) -> str:
    """Enough to recognise it by."""
    return f"{token[:4]}{'•' * 8}"


def _still(until: datetime | None) -> Shown:
    return until if until and until > timezone.now() else "none"


def _steps_of(row: ProviderAccount) -> Table:
    steps = row.steps.order_by("position", "pk")[: MOST * 4]
    return Table(
        title="What is configured at the provider",
        columns=("Step", "State", "What was said", "What to do", "When"),
        rows=[
            (step.title, _badge(step.state, step.get_state_display()), step.said, step.fix, step.at) for step in steps
        ],
        empty="Nothing: no step was needed or begun.",
    )


def _lists_of(lists: list[SendingList]) -> Table:
    return Table(
        title="Its sending lists",
        columns=("List", "Number", "Brand", "State", "Messages a minute", "Messages from reports"),
        rows=[
            (
                link(item),
                Phone(item.number),
                item.brand,
                state_of(item, "status"),
                f"{item.messages_per_minute:,}",
                from_reports(item),
            )
            for item in lists[:MOST]
        ],
        empty="None: replies find no list.",
    )


def from_reports(row: SendingList) -> str:
    """Whether a report about a message we did not send makes one."""
    return "made, marked external" if row.records_external else "not made"


def _numbers_of(row: ProviderAccount, lists: list[SendingList]) -> list[Table]:
    """Those the provider listed last; none where it lists none."""
    listed = numbers.listed(row)
    if not listed:
        return []
    by_number = {item.number: item for item in lists}
    return [
        Table(
            title="Numbers at the provider",
            columns=("Number", "Name", "Takes replies", "List"),
            rows=[
                (Phone(item.number), item.name, "yes" if item.can_receive else "no", link(by_number.get(item.number)))
                for item in listed[: MOST * 4]
            ],
            empty="",
        )
    ]


def _verb(row: ProviderAccount) -> str:
    return "Take back and retire" if row.removed_at else "Configure webhooks"


def _acts(row: ProviderAccount) -> tuple[Act, ...]:
    again = "Tell the provider to forget us; its lists are closed and nothing is sent with it any more"
    retire = Act(
        verb="remove",
        label="Take back and retire",
        ask="Are you sure?",
        choices=((SURE, "Yes, retire it"),),
        explain=again,
    )
    rotate = Act(
        verb="rotate", label="Rotate the token", explain="A new callback URL; the old one stays valid for 24 hours"
    )
    if row.removed_at:
        return (retire,) if row.webhook_state == State.FAILED else ()
    return (
        Act(verb="configure", label="Configure webhooks", explain="Every step again; each is safe to repeat"),
        Act(
            verb="check",
            label="Ask the provider",
            explain="Whether it takes the credentials, and which numbers there are",
        ),
        rotate,
        retire,
    )
