"""Owns what logs may not show: callback and postback tokens, API keys and phone numbers, wherever in a text they stand."""

import re

# Everything behind the slug: which segment is the token depends on a grammar that a wrong URL does not keep.
# Begun at the first of several slashes alone: begun at each, thousands of them would cost their square.
_INBOUND = re.compile(r"(?<!/)(/+api/+(?:webhook-feedbacks|postbacks)/+[^/?\s\"]+/+)[^?\s\"]+", re.IGNORECASE)
# A number in a path of the API, in whatever spelling: '+1-415-555-0101' looks like no phone to the patterns below.
_CONTACT = re.compile(
    r"(?<!/)(/+api/+v2/+(?:contacts|suppressions)/+)(?!opt-(?:in|out)/?(?:$|[\s?\"]))[^/?\"]+", re.IGNORECASE
)
# Links that reset a password or prove an address: whoever reads one may use it.
_LINK = re.compile(r"(/account/(?:password/reset/key|confirm-email)/)[^/?\s\"]+", re.IGNORECASE)
# Tokens have this shape, wherever somebody puts one.
_TOKEN = re.compile(r"(?:(?<=/)|(?<=%2f)|(?<=%2F))[a-z2-7]{26}(?![a-z0-9])")
_ANYWHERE = re.compile(r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))[a-z2-7]{26}(?![A-Za-z0-9])")
_PHONE = re.compile(r"(?:(?<![\w.-])\+|%2[bB])\d{5,13}(\d{2})(?!\d)")
# As some providers write them. A UUID's groups and the parts of a name end or begin with a hyphen or a letter.
_BARE_PHONE = re.compile(r"(?<![\w.+-])\d{8,13}(\d{2})(?![\w-]|\.\d)")

# None of the above matches where this does not, and it is a fifth of their cost: a log has many short harmless texts.
_SUSPECT = re.compile(r"\d{7}|[a-z2-7]{26}|/[aA][pP][iI]/|/key/|/confirm-email/")


def mask_tokens(text: str) -> str:
    """`text` with what may be secret in inbound paths replaced."""
    return _TOKEN.sub("***", _INBOUND.sub(r"\1***", text))


def mask_phone(number: str) -> str:
    """+14155550101 -> +141•••••01: enough to recognise, too little to call."""
    return f"{number[:4]}{'•' * max(len(number) - 6, 0)}{number[-2:]}" if len(number) > 6 else number


def mask(text: str) -> str:
    """`text` as a log may show it. The net under every line; call sites log ids in the first place."""
    if not _SUSPECT.search(text):
        return text
    masked = _ANYWHERE.sub("***", mask_tokens(_LINK.sub(r"\1***", _CONTACT.sub(r"\1***", text))))
    return _BARE_PHONE.sub(r"•••\1", _PHONE.sub(r"+•••\1", masked))
