"""Owns what django-allauth does differently here: who may sign up, where links in mails lead, who is counted as one caller."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from trackly.clients import client_address, parse_networks
from trackly.encryption import seal, unseal
from trackly.pages.people import mail

# The same, whatever was wrong: neither tells whether there is such a user.
_WRONG = "The name or the password is wrong."
_STAGE = "allauth.account.stages.EmailVerificationStage"


class Adapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": _WRONG,
        "email_password_mismatch": _WRONG,
        "too_many_login_attempts": "Too many attempts. Wait five minutes, then try again.",
        "account_inactive": "This user is switched off. Ask support.",
        "email_taken": "Somebody has a user with this e-mail address already.",
        "incorrect_code": "The code is wrong or was used before. Wait for the next one.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGNUP_OPEN)

    def get_client_ip(self, request: HttpRequest) -> str:
        proxies = parse_networks(tuple(settings.TRUSTED_PROXIES))
        forwarded = request.headers.get("X-Forwarded-For", "")
        # Without an address it came over a UNIX socket: all of these count as one.
        return client_address(request.META.get("REMOTE_ADDR", ""), forwarded, proxies) or "local"

    def get_login_stages(self) -> list[str]:
        own = f"{ProveAddress.__module__}.{ProveAddress.__qualname__}"
        return [own if stage == _STAGE else stage for stage in super().get_login_stages()]

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # The Host of the request is not part of it: whoever guesses could name another port each time.
        return str(credentials.get("email", credentials.get("username", ""))).lower()

    # --- mail: every address in it is ours, whatever host the request named

    def get_reset_password_from_key_url(self, key: str) -> str:
        return public(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return public(super().get_email_confirmation_url(request, emailconfirmation))

    def send_account_already_exists_mail(self, email: str) -> None:
        addresses = {"password_reset_url": public(reverse("account_reset_password"))}
        self.send_mail("account/email/account_already_exists", email, addresses)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        if settings.HAS_MAIL:
            site = SimpleNamespace(name="Trackly", domain=urlsplit(settings.PUBLIC_BASE_URL).netloc)
            mail.post(self.render_mail(template_prefix, email, {"email": email, **context, "current_site": site}))


class ProveAddress(EmailVerificationStage):
    """Whoever gave an address proves it before anything else; whom an operator made without one has none to prove."""

    def handle(self) -> Any:
        user = self.login.user
        if user is not None and not EmailAddress.objects.filter(user_id=user.pk).exists():
            return None, True
        return super().handle()


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of authenticator apps and recovery codes are ciphertext in the database."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": Adapter.error_messages["incorrect_code"],
        "unverified_email": "Prove your e-mail address first: use the link in the mail we sent to it.",
        "add_email_blocked": "With two-factor sign-in on, no further address can be added.",
    }

    def encrypt(self, text: str) -> str:
        return seal(text).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return str(unseal(encrypted_text.encode()))


def public(url: str) -> str:
    """The path of this address on our public host."""
    return f"{settings.PUBLIC_BASE_URL}{urlsplit(url).path}"
