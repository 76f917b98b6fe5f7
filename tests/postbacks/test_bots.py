"""Which openings of a link are a machine's, by method, headers and User-Agent."""

import pytest

from postbacks.bots import bot_reason

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"
    " Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
)
IMESSAGE_PREVIEW = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1"
    " Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"
)
ANDROID_PREVIEW = (
    "Mozilla/5.0 (Linux; Android 4.2.1; en-us; Nexus 5 Build/JOP40D) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/56.0.2924.87 Safari/537.36 Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)"
)

PEOPLE = {
    "iphone": IPHONE,
    "android": ANDROID,
    "ipad": "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Safari/604.1",
    "samsung": (
        "Mozilla/5.0 (Linux; Android 13; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0"
        " Chrome/115.0.0.0 Mobile Safari/537.36"
    ),
    "firefox": "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
    "cubot": (
        "Mozilla/5.0 (Linux; Android 10; CUBOT KINGKONG 5 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.4844.73"
        " Mobile Safari/537.36"
    ),
    "cubot at the end": "Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36 Chrome/80.0 Mobile Safari/537.36",
    "cubot in one word": (
        "Mozilla/5.0 (Linux; Android 7.0; CUBOT_NOTE_S Build/NRD90M) AppleWebKit/537.36 Chrome/80.0 Mobile Safari/537.36"
    ),
    "pixel search app": (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A.230803.041; wv) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 GoogleApp/15.20.33.29.arm64 google"
    ),
    "ios search app": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " GSA/317.0.634488990 Mobile/15E148 Safari/604.1"
    ),
    "facebook app": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
        " [FBAN/FBIOS;FBAV/467.0.0.36.105;FBBV/611;FBDV/iPhone15,2;FBMD/iPhone;FBSN/iOS;FBSV/17.5;FBSS/3;FBLC/en_US]"
    ),
    "instagram app": (
        "Mozilla/5.0 (Linux; Android 13; M2101K6G Build/TKQ1; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
        " Chrome/124.0 Mobile Safari/537.36 Instagram 331.0.0.37.90 Android"
    ),
    "tiktok app": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
        " musical_ly_34.5.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/en BytedanceWebview/d8a21c6"
    ),
    "feature phone": "UCWEB/2.0 (Java; U; MIDP-2.0; en-US; nokia6300) U2/1.0.0 UCBrowser/9.4 U2/1.0.0 Mobile",
    "opera mini": "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80 (S60; SymbOS; Opera Mobi/23.348; U; en) Presto/2.5.25 Version/10.54",
    "windows": (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
        " Edg/126.0.0.0"
    ),
}

MACHINES = [
    (IMESSAGE_PREVIEW, "preview"),
    (ANDROID_PREVIEW, "preview"),
    ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "preview"),
    ("facebookexternalhit/1.1;line-poker/1.0", "preview"),
    ("Facebot", "preview"),
    ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", "preview"),
    ("Twitterbot/1.0", "preview"),
    ("WhatsApp/2.23.20.0 A", "preview"),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview"),
    ("Slack-ImgProxy (+https://api.slack.com/robots)", "preview"),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b", "preview"),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com", "preview"),
    ("TelegramBot (like TwitterBot)", "preview"),
    ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "preview"),
    ("LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", "preview"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0.0.0 Safari/537.36", "headless"),
    ("Mozilla/5.0 (Unknown; Linux) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1", "headless"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "crawler"),
    (f"{ANDROID} (compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot.html)", "crawler"),
    ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "crawler"),
    ("Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)", "crawler"),
    ("Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (compatible; Bytespider)", "crawler"),
    ("Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "crawler"),
    ("Acme Link Crawler 3", "crawler"),
    ("curl/8.5.0", "library"),
    ("Wget/1.21.4", "library"),
    ("python-requests/2.32.3", "library"),
    ("Python/3.11 aiohttp/3.9.5", "library"),
    ("Go-http-client/2.0", "library"),
    ("node", "library"),
    ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "library"),
    ("axios/1.7.2", "library"),
    ("Ruby", "library"),
    ("Java/17.0.2", "library"),
    ("okhttp/4.12.0", "library"),
    ("SomeApp/12 CFNetwork/1496.0.7 Darwin/23.5.0", "library"),
]


def headers(agent=IPHONE, **others):
    return (("host", "go.example.com"), ("user-agent", agent), *((n.replace("_", "-"), v) for n, v in others.items()))


@pytest.mark.parametrize("agent", PEOPLE.values(), ids=PEOPLE)
def test_people_are_people(agent):
    assert bot_reason("GET", headers(agent)) == ""


@pytest.mark.parametrize(("agent", "reason"), MACHINES)
def test_machines_are_named(agent, reason):
    assert bot_reason("GET", headers(agent)) == reason
    assert bot_reason("GET", headers(agent.upper())) == reason


@pytest.mark.parametrize("agent", PEOPLE.values(), ids=PEOPLE)
def test_head_is_never_a_person(agent):
    assert bot_reason("HEAD", headers(agent)) == "head"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("sec_purpose", "prefetch", "prefetch"),
        ("sec_purpose", "prefetch;prerender", "prefetch"),
        ("sec_purpose", "Prefetch; anonymous-client-ip", "prefetch"),
        ("sec_fetch_purpose", "prerender", "prefetch"),
        ("purpose", "prefetch", "prefetch"),
        ("x_moz", "prefetch", "prefetch"),
        ("x_purpose", "preview", "preview"),
        ("sec_purpose", "", ""),
        ("sec_fetch_mode", "no-cors", ""),
        ("sec_fetch_dest", "document", ""),
        ("x_other", "prefetch", ""),
    ],
)
def test_what_a_browser_says_of_its_purpose_counts(name, value, reason):
    assert bot_reason("GET", headers(**{name: value})) == reason


@pytest.mark.parametrize("sent", [(), (("host", "go.example.com"),), (("user-agent", ""),), (("user-agent", "  "),)])
def test_nobody_opens_a_link_without_a_user_agent(sent):
    assert bot_reason("GET", sent) == "no_user_agent"


def test_a_huge_user_agent_is_judged_by_its_beginning():
    assert bot_reason("GET", headers("curl/8 " + "x" * 1_000_000)) == "library"
    assert bot_reason("GET", headers(IPHONE + "x" * 1_000_000 + " bot")) == ""
