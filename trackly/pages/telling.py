"""Owns what a viewer is not told, wherever on the pages it would be told: references of messages, tokens in URLs, numbers that
strangers' words repeat.
"""

from collections.abc import Callable, Collection
from dataclasses import replace

from postbacks.models import NetworkConnection
from sendinglists.models import Message, ProviderAccount
from trackly.pages.visits import Visit
from trackly.redaction import mask
from trackly.showing import Shown, To, without_phones
from trackly.stories import Exchange, Story, rewritten, without_numbers
from trackly.stories.messages import message_story
from trackly.stories.provider_accounts import masked
from webhooks.inbound.models import InboundRequest, Source

# More senders of one provider or network than anybody has.
_MOST = 200


def story_of_message(visit: Visit, row: Message) -> Story:
    """To a viewer without the reference: who knows it may speak for the provider."""
    told = message_story(row, is_revealed=visit.may_change, now=visit.now)
    # What is not there is news to the staff alone.
    told = replace(told, tables=tuple(table for table in told.tables if table.rows))
    if not visit.may_change:
        told = replace(told, facts=tuple(fact for fact in told.facts if not _names(fact[1], row.reference)))
        told = rewritten(told, _hider([row.reference]))
    return without_numbers(told)


def _names(value: Shown, secret: str) -> bool:
    return value == secret or (isinstance(value, To) and any(secret in word for _, word in value.query))


def tokens_of(visit: Visit, source: str, slug: str) -> list[str]:
    """The tokens a viewer is not told that a request of this provider or network may repeat. The former ones are known only by
    their hashes.
    """
    if visit.may_change:
        return []
    if source == Source.POSTBACK:
        rows = visit.rows(NetworkConnection).filter(network=slug).order_by("-id")
        return list(rows.values_list("postback_token", flat=True)[:_MOST])
    parties = visit.rows(ProviderAccount).filter(provider=slug).order_by("-id")
    return list(parties.values_list("callback_token", flat=True)[:_MOST])


def secrets_in(visit: Visit, row: InboundRequest) -> list[str]:
    """What of a request a viewer is not told: tokens it repeats, and references of the messages it names."""
    if visit.may_change:
        return []
    named = visit.rows(Message).filter(reference__in=row.ids[:200]) if row.source == Source.WEBHOOK else None
    references = list(named.values_list("reference", flat=True)) if named is not None and row.ids else []
    return [*tokens_of(visit, row.source, row.slug), *references]


def without_secrets(story: Story, secrets: Collection[str]) -> Story:
    """The story and its exchange with these masked."""
    if not secrets:
        return story
    hide, exchange = _hider(secrets), story.exchange
    if exchange is not None:
        exchange = Exchange(request=hide(exchange.request), answer=hide(exchange.answer))
    return replace(rewritten(story, hide), exchange=exchange)


def without_secret_words(text: str, secrets: Collection[str]) -> str:
    return _hider(secrets)(text)


def of_set_up(visit: Visit, said: str) -> str:
    """What a provider said while it was set up: it may repeat our URL, token and all."""
    return said if visit.may_change else mask(said)


def of_person(visit: Visit, said: str, numbers: Collection[str]) -> str:
    """What somebody wrote, with the numbers that are known of them masked in whatever spelling."""
    return said if visit.may_change else without_phones(said, numbers)


def _hider(secrets: Collection[str]) -> Callable[[str], str]:
    def hide(text: str) -> str:
        for secret in secrets:
            if secret:
                text = text.replace(secret, masked(secret))
        return text

    return hide
