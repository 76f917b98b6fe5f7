"""Owns the judgement that an opening of a link was a machine's. It decides what is counted, never what is answered:
a prefetch or a wrong verdict may end in front of a person, so every opening gets its redirect and its click id.

Link previews are most of it: a phone's message app fetches the link before anybody has touched it.
"""

import re

_PURPOSE_HEADERS = frozenset({"sec-purpose", "sec-fetch-purpose", "purpose", "x-purpose", "x-moz"})
_PURPOSES = (("prefetch", re.compile(r"prefetch|prerender")), ("preview", re.compile(r"preview")))

# Reason -> what a User-Agent in lower case then contains, looked for in this order. There is no rule for "google" alone:
# the in-app browser of Pixel phones says it. A word ending in "bot" is a crawler, except CUBOT, which makes phones.
_USER_AGENTS = tuple(
    (reason, re.compile(pattern))
    for reason, pattern in (
        (
            "preview",
            # iMessage calls itself "facebookexternalhit/1.1 Facebot Twitterbot/1.0"; Google-PageRenderer is Android's.
            r"\b(?:facebookexternalhit|facebot|meta-external(?:agent|fetcher|hit)|twitterbot|google-pagerenderer|whatsapp"
            r"|slackbot|slack-imgproxy|bingpreview|skypeuripreview|microsoftpreview|telegrambot|discordbot|linkedinbot"
            r"|google web preview|snap url preview)\b",
        ),
        ("headless", r"\b(?:headlesschrome|phantomjs|puppeteer|playwright|chrome-lighthouse)\b"),
        ("crawler", r"(?<!\bcu)bots?\b|crawl(?:er|ing)?\b|spider\b|\b(?:slurp|mediapartners-google|pingdom)"),
        (
            "library",
            r"\b(?:curl|wget|python|go-http-client|node-fetch|node\.js|axios|undici|okhttp|aiohttp|httpx|libwww-perl"
            r"|apache-httpclient|postmanruntime|cfnetwork|http\.rb|guzzlehttp)\b|\A(?:ruby|node|java|php|perl)\b",
        ),
    )
)


def bot_reason(method: str, headers: tuple[tuple[str, str], ...]) -> str:
    """Why this opening was no person's, in one word; '' for a person. Header names are in lower case."""
    if method == "HEAD":
        return "head"
    for name, value in headers:
        if name in _PURPOSE_HEADERS and (reason := _first_match(value, _PURPOSES)):
            return reason
    agent = next((value for name, value in headers if name == "user-agent"), "").strip()
    return _first_match(agent, _USER_AGENTS) if agent else "no_user_agent"


def choices() -> list[tuple[str, str]]:
    """Every reason there is, for filters."""
    agents = (reason for reason, _ in (*_PURPOSES, *_USER_AGENTS))
    return [(reason, reason.replace("_", " ")) for reason in dict.fromkeys(("", *agents, "head", "no_user_agent"))]


def _first_match(text: str, table: tuple[tuple[str, re.Pattern[str]], ...]) -> str:
    # The longest ordinary User-Agents (in-app browsers) have some 400 characters.
    start = text[:1000].lower()
    return next((reason for reason, pattern in table if pattern.search(start)), "")
