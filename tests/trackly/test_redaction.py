"""What logs may not show."""

import logging

import pytest

from trackly.redaction import RedactingFilter, mask_phone, mask_tokens

TOKEN = "qjwnashu37usevdqgpcf7nv2ac"


@pytest.mark.parametrize(
    "path",
    [
        f"/api/webhook-feedbacks/infobip/{TOKEN}",
        f"/api/webhook-feedbacks/infobip/{TOKEN}/mo?account=42",
        f"/api/postbacks/tune/mo/{TOKEN}",
        f"/api/postbacks//tune/{TOKEN}?click_id=1",
        f"/api/postbacks/tune//{TOKEN}",
        f"//api/postbacks/%74une/{TOKEN}",
        f"/API/Postbacks/TUNE/{TOKEN}",
        f"/wrong/place/{TOKEN}",
        f"/api/postbacks%2f{TOKEN}",
        f'"GET /api/postbacks/tune/{TOKEN} HTTP/1.1" 200',
    ],
)
def test_a_token_is_masked_however_the_path_is_written(path: str) -> None:
    assert TOKEN not in mask_tokens(path)


def test_what_is_no_secret_stays_readable() -> None:
    text = '"GET /api/postbacks/tune?click_id=k3v9&payout=42 HTTP/1.1" 200 /c/H8u6KE9 /admin/'
    assert mask_tokens(text) == text
    assert mask_tokens(f"/api/postbacks/tune/{TOKEN}?payout=42").endswith("?payout=42")


def test_a_log_line_shows_neither_tokens_nor_phones() -> None:
    record = logging.LogRecord(
        "x", logging.INFO, "f", 1, "sent to=%s by=%s", ("+14155550101", f"/api/postbacks/tune/{TOKEN}"), None
    )
    RedactingFilter().filter(record)
    assert "+14155550101" not in record.getMessage()
    assert TOKEN not in record.getMessage()


def test_a_masked_phone_is_recognised_and_cannot_be_called() -> None:
    assert mask_phone("+14155550101") == "+141••••••01"
    assert mask_phone("3669") == "3669"
