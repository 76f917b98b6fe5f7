"""Owns how a mail leaves: in a thread of its own, so that neither the wait nor a server that is away tells who has a user."""

import logging
from concurrent.futures import ThreadPoolExecutor
from smtplib import SMTPException

from django.core.mail import EmailMessage

logger = logging.getLogger(__name__)
_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


def post(message: EmailMessage) -> None:
    """Send it soon; what goes wrong stands in the log."""
    _sender.submit(_send, message)


def settle() -> None:
    """Wait until everything posted so far was tried."""
    _sender.submit(lambda: None).result()


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    # ValueError: a header that cannot be one.
    except (SMTPException, OSError, ValueError):
        logger.exception("mail not sent")
