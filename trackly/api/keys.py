"""Owns who asks: the X-Api-Key header, looked up by its hash, and the account behind it."""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from trackly.api.errors import Problem
from trackly.models import Account, ApiKey
from trackly.signing import same, token_hash

HEADER = "X-Api-Key"
# How exactly it is known when a key was used last; a key may be used a thousand times a second.
NOTED_EVERY = timedelta(minutes=1)


class KeyAuthentication(BaseAuthentication):
    """Leaves the key in request.auth, with its account; whoever shows none gets no further."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey]:
        shown = request.META.get("HTTP_X_API_KEY", "").strip()
        if not shown:
            raise _unknown("missing_api_key", "API key required")
        hashed = token_hash(shown)
        key = ApiKey.objects.select_related("account").filter(key_hash=hashed).first()
        # The index found it by its hash, which a guess cannot steer; compared once more in constant time.
        if key is None or not same(bytes(key.key_hash), hashed) or key.account.status == Account.Status.DELETED:
            raise _unknown("invalid_api_key", "Invalid API key")
        if key.revoked_at is not None:
            # Whoever shows it has had it: this tells them nothing but why it ends.
            raise _unknown("invalid_api_key", "This API key was revoked")
        if key.account.status != Account.Status.ACTIVE:
            raise Problem(403, "account_suspended", "Account is suspended")
        _note_use(key)
        return None, key


def _unknown(code: str, said: str) -> Problem:
    return Problem(401, code, said, **{"WWW-Authenticate": HEADER})


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    old = now - NOTED_EVERY
    if key.last_used_at is None or key.last_used_at <= old:
        unnoted = Q(last_used_at=None) | Q(last_used_at__lte=old)
        ApiKey.objects.filter(unnoted, id=key.id).update(last_used_at=now)


class KeyScheme(OpenApiAuthenticationExtension):
    """What the schema says about it."""

    target_class = KeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        said = (
            "A key of your account, `trk_…`. It is shown once, when it is made; ask support for one, and to revoke one."
        )
        return {"type": "apiKey", "in": "header", "name": HEADER, "description": said}
