"""Owns the campaign of a run: messages to people, each with its link, and drawn for each what will be said, opened and bought."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from django.db import transaction

from postbacks.models import Offer
from sendinglists.models import Contact, Link, Message, SendingList, Subscription
from trackly.demo import openings, replies, reports, sales
from trackly.demo.book import Book
from trackly.demo.sales import Sale
from trackly.demo.stage import Stage
from trackly.signing import new_token
from trackly.totals import Key, Totals, hour_of

# Their reports end, and their people reply, within this time: nothing is said to happen in the future.
YOUNGEST, OLDEST = timedelta(minutes=20), timedelta(hours=24)
# How busy each hour of the day is, UTC.
_BUSY = (1, 1, 1, 1, 1, 2, 3, 5, 8, 10, 11, 10, 9, 8, 7, 7, 8, 9, 10, 9, 7, 4, 2, 1)
_TEXT = "{brand}: 20% off, only today: https://go.example.com/c/{code} Reply STOP to leave."


class Weighted(Protocol):
    @property
    def weight(self) -> int: ...


T = TypeVar("T", bound=Weighted)


@dataclass(slots=True, kw_only=True)
class Sent:
    """One message and everything that will happen to it."""

    message: Message
    link: Link
    story: reports.Story
    visitors: openings.Story
    reply: replies.Story | None = None
    sale: Sale | None = None
    is_batched: bool = False
    """Its reports come together with those of others."""


@dataclass(slots=True, kw_only=True)
class Campaign:
    """One run. Its rows are told from those of other runs by its name and by what is remembered here."""

    name: str
    stage: Stage
    rng: random.Random
    now: datetime
    expected: Book = field(default_factory=Book)
    sent: list[Sent] = field(default_factory=list)
    flyer: Link = field(default_factory=Link)
    """A link of no message: every person on it counts."""
    expired: Link = field(default_factory=Link)
    strays: list[Sale] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    """Message references that never come to exist."""

    @property
    def agent(self) -> str:
        """The User-Agent of its providers and networks, by which its requests are found again."""
        return f"Trackly-Demo/1.0 ({self.name})"

    @property
    def scale(self) -> int:
        """How many of what comes about once in fifty messages."""
        return max(len(self.sent) // 50, 1)

    @property
    def links(self) -> list[Link]:
        return [*(sent.link for sent in self.sent), self.flyer]

    def allot(self, stories: Sequence[T], n: int) -> list[T]:
        """`n` of them: each once while there is room, the rest by weight; in no order."""
        drawn = list(stories[:n])
        drawn += self.rng.choices(stories, [story.weight for story in stories], k=n - len(drawn))
        self.rng.shuffle(drawn)
        return drawn


def draw(stage: Stage, n: int, *, seed: int | None, now: datetime) -> Campaign:
    """A campaign of `n` messages, nothing of it saved yet. The seed decides everything but the ids."""
    name = f"demo {now:%Y-%m-%d %H:%M:%S} {new_token()[:4]}"
    campaign = Campaign(name=name, stage=stage, rng=random.Random(seed), now=now)
    first = Contact.objects.filter(account=stage.account).count()
    drawn = zip(campaign.allot(reports.STORIES, n), campaign.allot(openings.STORIES, n), strict=True)
    campaign.sent = [_sent(campaign, first + index, *stories) for index, stories in enumerate(drawn)]
    _draw_sales(campaign)
    _draw_replies(campaign)
    offer = campaign.rng.choice(stage.offers)
    campaign.flyer = Link(account=stage.account, offer=offer, campaign=name)
    campaign.expired = Link(account=stage.account, offer=offer, campaign=name, expires_at=now)
    campaign.orphans = [new_token() for _ in range(2 * campaign.scale)]
    return campaign


def save(campaign: Campaign) -> None:
    """Make its rows, as sending would."""
    account = campaign.stage.account
    contacts = [Contact(account=account, phone=sent.message.to) for sent in campaign.sent]
    Contact.objects.bulk_create(contacts, ignore_conflicts=True)
    known = Contact.objects.filter(account=account, phone__in=[contact.phone for contact in contacts])
    by_phone = {contact.phone: contact for contact in known}
    subscriptions = [
        Subscription(account=account, contact=by_phone[sent.message.to], sending_list=list_of(sent.message))
        for sent in campaign.sent
    ]
    Subscription.objects.bulk_create(subscriptions, ignore_conflicts=True)
    totals = Totals()
    for sent in campaign.sent:
        totals.add(Key(account.pk, hour_of(sent.message.created_at), "message", list_of(sent.message).pk))
    with transaction.atomic():
        Message.objects.bulk_create([sent.message for sent in campaign.sent])
        totals.write()
    Link.objects.bulk_create([*campaign.links, campaign.expired])


def _sent(campaign: Campaign, number: int, story: reports.Story, visitors: openings.Story) -> Sent:
    rng, stage = campaign.rng, campaign.stage
    sending_list = rng.choice(stage.lists)
    made = _moment(campaign)
    message = Message(
        account=stage.account, provider_account=sending_list.provider_account, sending_list=sending_list,
        campaign=campaign.name, to=phone(number), created_at=made, sent_at=made + timedelta(seconds=1),
        provider_message_id=f"SBX-{new_token()}",
    )  # fmt: skip
    link = Link(account=stage.account, offer=rng.choice(stage.offers), message=message, campaign=campaign.name)
    message.body = _TEXT.format(brand=sending_list.brand, code=link.code)
    is_batched = not story.is_early and rng.random() < 0.12
    return Sent(message=message, link=link, story=story, visitors=visitors, is_batched=is_batched)


def _moment(campaign: Campaign) -> datetime:
    """A moment of the last day, in a busy hour more likely."""
    hours = range(int(OLDEST / timedelta(hours=1)))
    begins = [campaign.now - OLDEST + timedelta(hours=hour) for hour in hours]
    begin = campaign.rng.choices(begins, [_BUSY[moment.hour] for moment in begins])[0]
    return min(begin + timedelta(seconds=campaign.rng.uniform(0, 3600)), campaign.now - YOUNGEST)


def phone(number: int) -> str:
    """The number-th of the North American numbers kept for fiction: 555-0100 to 0199 of every area code."""
    areas = [area for area in range(201, 990) if area % 100 != 11 and area // 10 % 10 != 9]
    return f"+1{areas[number // 100 % len(areas)]}55501{number % 100:02d}"


def _draw_sales(campaign: Campaign) -> None:
    opened = [sent for sent in campaign.sent if sent.visitors.has_person]
    buyers = campaign.rng.sample(opened, len(opened) * 3 // 4)
    for index, (sent, story) in enumerate(zip(buyers, campaign.allot(sales.STORIES, len(buyers)), strict=True)):
        sent.link.offer = _suited(campaign, story)
        sent.sale = _tell(campaign, story, sent.link.offer, index)
    strays = campaign.allot(sales.STRAYS, max(len(campaign.sent) // 8, len(sales.STRAYS)))
    for index, story in enumerate(strays, start=len(buyers)):
        campaign.strays.append(_tell(campaign, story, _suited(campaign, story), index))


def _suited(campaign: Campaign, story: sales.Story) -> Offer:
    return campaign.rng.choice([offer for offer in campaign.stage.offers if story.suits(offer)])


def _tell(campaign: Campaign, story: sales.Story, offer: Offer, index: int) -> Sale:
    name = f"T{campaign.name[-4:].upper()}{index:05d}"
    sale = Sale(offer=offer, price=campaign.rng.choice(sales.PRICES), name=name, book=campaign.expected)
    story.tell(sale)
    return sale


def _draw_replies(campaign: Campaign) -> None:
    """People answer what they got; who opted out by an error code got nothing."""
    reached = [sent for sent in campaign.sent if sent.story.ends in ("delivered", "read")]
    writers = campaign.rng.sample(reached, len(reached) // 5)
    for sent, story in zip(writers, campaign.allot(replies.STORIES, len(writers)), strict=True):
        sent.reply = story


def list_of(message: Message) -> SendingList:
    assert message.sending_list is not None
    return message.sending_list
