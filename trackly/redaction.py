"""Owns what logs may not show: callback and postback tokens in paths, and phone numbers in running text."""

import logging
import re

# Everything behind the slug: which segment is the token depends on a grammar that a wrong URL does not keep.
_INBOUND = re.compile(r"(/+api/+(?:webhook-feedbacks|postbacks)/+[^/?\s\"]+/+)[^?\s\"]+", re.IGNORECASE)
# Tokens have this shape, wherever somebody puts one.
_TOKEN = re.compile(r"(?:(?<=/)|(?<=%2f)|(?<=%2F))[a-z2-7]{26}(?![a-z0-9])")
_PHONE = re.compile(r"(?<![\w.-])\+\d{5,11}(\d{2})(?!\d)")


def mask_tokens(text: str) -> str:
    """`text` with what may be secret in inbound paths replaced."""
    return _TOKEN.sub("***", _INBOUND.sub(r"\1***", text))


def mask_phone(number: str) -> str:
    """+14155550101 -> +141•••••01: enough to recognise, too little to call."""
    return f"{number[:4]}{'•' * max(len(number) - 6, 0)}{number[-2:]}" if len(number) > 6 else number


class RedactingFilter(logging.Filter):
    """The net under every log line; call sites log ids in the first place."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = _PHONE.sub(r"+•••\1", mask_tokens(message))
        if masked != message:
            record.msg, record.args = masked, ()
        return True
