"""Owns what the linter says about where a postback URL leads: scheme, host, path, network, token."""

from urllib.parse import urlsplit

from postbacks.building import PATH
from postbacks.linting.findings import Expected, Finding, Whose, doubt, wrong
from postbacks.linting.pasted import Pasted


def is_ours(pasted: Pasted, expected: Expected) -> bool:
    return bool(expected.base_url) and pasted.host == urlsplit(expected.base_url).netloc.lower()


def look_at_address(pasted: Pasted, expected: Expected) -> list[Finding]:
    found = []
    if expected.base_url and not is_ours(pasted, expected):
        ours = urlsplit(expected.base_url).netloc
        found.append(
            wrong(
                "host",
                f"It leads to {pasted.host[:80]}, not to us.",
                f"Our postbacks come in at {ours}: use the URL of this page.",
            )
        )
    if pasted.scheme == "http" and not expected.base_url.startswith("http://"):
        found.append(
            wrong(
                "http",
                "It begins with http, not https: the token would travel in the open, and such hits do not count.",
                "Write https.",
            )
        )
    if pasted.fragment:
        found.append(
            wrong(
                "fragment",
                "There is a # in it: nothing after it is ever sent.",
                "Take the # out, or write %23 where it belongs to a value.",
            )
        )
    return found


def look_at_postback_path(pasted: Pasted, expected: Expected) -> list[Finding]:
    """Which network's URL it is, and whose token it carries."""
    network = expected.network
    if not pasted.path.startswith(PATH):
        right = f"{PATH}{network.slug}/ and the token"
        return [
            wrong(
                "path",
                "This is not the path of a postback.",
                f"The path is {right}: nothing else is taken for a conversion.",
            )
        ]
    parts = [part for part in pasted.path[len(PATH) :].split("/") if part]
    if not parts or parts[0] != network.slug:
        return [_other_network(parts[0] if parts else "", expected)]
    if len(parts) == 1:
        return [_bare(pasted)]
    if len(parts) > 2:
        return [
            wrong(
                "path",
                "There is more in the path than the token.",
                "End the path after the token, then write ? and the parameters.",
            )
        ]
    return _token(parts[1], expected)


def _other_network(slug: str, expected: Expected) -> Finding:
    network = expected.network
    known = next((other.name for other in expected.others if other.slug == slug), "")
    said = f"This is a URL for postbacks of {known}." if known else "The path names no network that we know."
    return wrong("network", said, f"This connection is with {network.name}: its URLs begin with {PATH}{network.slug}/.")


def _bare(pasted: Pasted) -> Finding:
    by_account = any(name == "account" and value for name, value in pasted.pairs)
    what = "It names the account and carries no token" if by_account else "It carries no token"
    return doubt(
        "no_token",
        f"{what}: its conversions are unverified, and anybody could send them.",
        "Use the URL with the token of this connection.",
    )


def _token(token: str, expected: Expected) -> list[Finding]:
    match expected.whose(token):
        case Whose.CURRENT:
            return []
        case Whose.FORMER:
            return [
                doubt(
                    "old_token",
                    "It carries the former token, which is accepted for a while only.",
                    "Use the current URL.",
                )
            ]
        case Whose.OTHER:
            said = "Its token belongs to another connection of this account: conversions would be credited there."
            return [wrong("other_token", said, "Use the URL of this connection.")]
    said = "Its token is none of this account's, or was withdrawn: such hits are kept and do not count."
    if "{" in token or "[" in token or token.lower() in ("token", "your-token"):
        said = "Where the token belongs there is a placeholder."
    return [wrong("token", said, "Use the URL of this connection, with its token.")]
