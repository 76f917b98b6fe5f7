"""Owns the openings of a run's short links as calls, and the click ids their answers bring."""

from urllib.parse import parse_qs, urlsplit

from sendinglists.models import Link
from trackly.demo import book, openings
from trackly.demo.campaign import Campaign, Sent
from trackly.demo.openings import Visitor
from trackly.demo.sending import Answer, Call
from trackly.signing import new_code


def visits(campaign: Campaign) -> list[tuple[Call, Sent | None]]:
    """Every opening, and the message whose link it is."""
    pairs = [
        (_opening(campaign, sent.link, visitor), sent) for sent in campaign.sent for visitor in sent.visitors.visitors
    ]
    for sent in campaign.sent:
        if sent.visitors.has_person:
            campaign.expected.add(book.COUNTED, total="counted_click")
    others: list[Call] = []
    for _ in range(3 * campaign.scale):
        others.append(_opening(campaign, campaign.flyer, campaign.rng.choice(openings.PEOPLE)))
        campaign.expected.add(book.COUNTED, total="counted_click")
    # Expired: to the fall-back of the account, and no click. Mistyped: an honest 404.
    others += [_call(campaign.expired.code, openings.PEOPLE[0], 302) for _ in range(campaign.scale)]
    others += [_call(new_code(9), openings.PEOPLE[1], 404) for _ in range(2 * campaign.scale)]
    return [*pairs, *((call, None) for call in others)]


def keep_click(sent: Sent, call: Call, answer: Answer) -> None:
    """The click id a person's browser was sent to the network with; that of the first of them."""
    person = next((visitor for visitor in sent.visitors.visitors if visitor.is_person), None)
    if sent.sale is None or sent.sale.click_id or person is None or call.headers.get("User-Agent") != person.agent:
        return
    if call.method == person.method:
        query = parse_qs(urlsplit(answer.location).query)
        sent.sale.click_id = query.get(sent.sale.connection.click_parameters[0], [""])[0]


def _opening(campaign: Campaign, link: Link, visitor: Visitor) -> Call:
    if visitor.is_person:
        campaign.expected.add(book.BY_PEOPLE, total="click")
    else:
        campaign.expected.add(book.BY_MACHINES, total="bot_click")
    return _call(link.code, visitor, 302)


def _call(code: str, visitor: Visitor, status: int) -> Call:
    headers = {"User-Agent": visitor.agent} if visitor.agent else {}
    return Call(kind=book.OPENINGS, method=visitor.method, target=f"/c/{code}", status=status, headers=headers)
