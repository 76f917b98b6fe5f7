"""Owns the environment of a test run: loaded by pytest before Django reads its settings."""

import os
from pathlib import Path

from cryptography.fernet import Fernet

# A working copy's own data is never touched: tests have their own embedded server, or DATABASE_URL if that is set.
os.environ.setdefault("TRACKLY_VAR", str(Path(__file__).resolve().parent.parent / "var" / "test"))
os.environ["SECRET_KEY"] = "tests-only"
os.environ["ENCRYPTION_KEYS"] = Fernet.generate_key().decode()
os.environ["PUBLIC_BASE_URL"] = "https://hooks.example.com"
os.environ["HTTPS_REQUIRED"] = "false"
os.environ["SANDBOX_ENABLED"] = "true"
# The vendors' fakes and other far ends of tests live on loopback.
os.environ["OUTGOING_ALLOW"] = "127.0.0.0/8"
os.environ["ALLOWED_HOSTS"] = "testserver,hooks.example.com,localhost,127.0.0.1"
for name in (
    "DEBUG",
    "TRUSTED_PROXIES",
    "BODY_CAP_BYTES",
    "OUTGOING_ROUTES",
    "PROVIDER_HOSTS",
    "EMAIL_URL",
    "DEFAULT_FROM_EMAIL",
    "SIGNUP_OPEN",
):
    os.environ.pop(name, None)

from trackly import embedded  # noqa: E402

embedded.prepare()
