"""Owns who opens the short links of the demo, and which of them are people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visitor:
    """One who opens a link; people may come again."""

    method: str
    agent: str
    """'' where no User-Agent is sent."""
    is_person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Who opens the link of one message."""

    weight: int
    visitors: tuple[Visitor, ...]

    @property
    def has_person(self) -> bool:
        return any(visitor.is_person for visitor in self.visitors)


_SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_CHROME = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"
)
_IPHONE = Visitor("GET", f"{_SAFARI} Version/18.5 Mobile/15E148 Safari/604.1", is_person=True)
_ANDROID = Visitor("GET", _CHROME, is_person=True)
# Messages on an iPhone draws its preview under this name.
_IMESSAGE = Visitor(
    "GET",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4"
    " facebookexternalhit/1.1 Facebot Twitterbot/1.0",
)
_WHATSAPP = Visitor("GET", "WhatsApp/2.25.20 A")
_CRAWLER = Visitor("GET", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)")
_SCANNER = Visitor("GET", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/142.0.0.0 Safari/537.36")
_CURL = Visitor("GET", "curl/8.16.0")
_PROBE = Visitor("HEAD", f"{_SAFARI} Version/18.5 Mobile/15E148 Safari/604.1")
_NAMELESS = Visitor("GET", "")

STORIES = (
    Story(weight=16, visitors=(_IPHONE,)),
    Story(weight=18, visitors=(_IMESSAGE, _IPHONE)),
    Story(weight=14, visitors=(_ANDROID,)),
    Story(weight=14, visitors=()),
    Story(weight=10, visitors=(_WHATSAPP, _ANDROID)),
    Story(weight=8, visitors=(_IMESSAGE, _IPHONE, _IPHONE)),
    Story(weight=8, visitors=(_IMESSAGE,)),
    Story(weight=4, visitors=(_ANDROID, _ANDROID, _ANDROID, _CRAWLER)),
    Story(weight=3, visitors=(_SCANNER, _IPHONE)),
    Story(weight=2, visitors=(_PROBE, _ANDROID)),
    Story(weight=2, visitors=(_CURL,)),
    Story(weight=1, visitors=(_NAMELESS, _CRAWLER)),
)
PEOPLE = (_IPHONE, _ANDROID)
