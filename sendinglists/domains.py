"""Owns the hosts of customers' own under which short links are told: which one a text names, and whether a host reaches us."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http.request import validate_host

from sendinglists.models import Link, LinkDomain
from trackly.calls import Answer, Barred, Call, Dialogue, Unanswered, Unreached
from trackly.models import Account
from trackly.outgoing import hold_now
from trackly.parties import Recent
from trackly.signing import token_hash

PROOF_PATH = "/.well-known/trackly/"
# Somebody waits for it.
CHECK_S = 20.0
# The DNS record of a host that was removed may still lead here: whoever added it next would speak under its brand.
HELD_FOR = timedelta(days=30)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
# Names that no public name server knows.
_PRIVATE = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".invalid", ".onion")


class _Host(NamedTuple):
    brand: str
    host: str
    is_proven: bool


# Account -> its hosts.
_HOSTS: Recent[list[_Host]] = Recent()


def short_url(link: Link) -> str:
    """Where people open it: under the host of its message's brand, or of the account. Without PUBLIC_BASE_URL only the path."""
    brand = ""
    # Without hosts of brands it does not matter which one it is.
    if link.message and any(host.brand for host in _hosts(link.account_id)):
        brand = link.message.sending_list.brand if link.message.sending_list else ""
    return f"{base_url(link.account_id, brand)}/c/{link.code}"


def base_url(account_id: int, brand: str = "") -> str:
    """Scheme and host of the account's new short links: its brand's host, else that of all brands, else ours."""
    proven = {item.brand: item.host for item in _hosts(account_id) if item.is_proven}
    host = proven.get(brand) or proven.get("")
    return address_of(host) if host else settings.PUBLIC_BASE_URL


def known_base_urls(account_id: int) -> list[str]:
    """Every beginning of a short link of this account, also under hosts that new texts do not name."""
    hosts = [address_of(item.host) for item in _hosts(account_id)]
    return [base for base in (settings.PUBLIC_BASE_URL, *hosts) if base]


def _hosts(account_id: int) -> list[_Host]:
    """Of one without PUBLIC_BASE_URL nobody knows how they are reached."""
    return _HOSTS.get(account_id, lambda: _load(account_id)) if settings.PUBLIC_BASE_URL else []


def _load(account_id: int) -> list[_Host]:
    rows = LinkDomain.objects.filter(account_id=account_id, removed_at=None)
    return [_Host(row.brand, row.host, row.checked_at is not None and not row.check_cause) for row in rows]


def address_of(host: str) -> str:
    """Scheme, host and port: the proxy that serves our own address serves this host as well."""
    ours = urlsplit(settings.PUBLIC_BASE_URL)
    return f"{ours.scheme or 'https'}://{host}{f':{ours.port}' if ours.port else ''}"


def forget() -> None:
    """After a host was added, checked or removed: this process reads again, others within seconds."""
    _HOSTS.clear()


def is_ours(host: str) -> bool:
    """True for a host this installation itself answers to; '*' in ALLOWED_HOSTS names none."""
    return validate_host(host, [pattern for pattern in settings.ALLOWED_HOSTS if pattern != "*"])


def read_host(text: str) -> str:
    """The host name in lower case, foreign letters as 'xn--…'. Raises ValidationError, with the fix, for anything else."""
    if "/" in text or "@" in text or ":" in text:
        raise ValidationError("Only the host name, without https:// and without a path: such as go.example.com.")
    try:
        host = text.strip().rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValidationError("This is no host name. Write one such as go.example.com.") from error
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or _is_address(host):
        raise ValidationError("This is no host name. Write one such as go.example.com.")
    if len(labels) < 2 or labels[-1].isdigit() or host.endswith(_PRIVATE):
        raise ValidationError("Phones must be able to find it: use a public host name such as go.example.com.")
    if is_ours(host):
        raise ValidationError("This service itself answers under this host. Choose one of your own.")
    return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_held(host: str, account_id: int, now: datetime) -> bool:
    """True where this account may not add it: somebody has it, or another account gave it up only lately."""
    row = LinkDomain.objects.filter(host=host).first()
    return row is not None and not _is_free(row, account_id, now)


def _is_free(row: LinkDomain, account_id: int, now: datetime) -> bool:
    return row.removed_at is not None and (row.account_id == account_id or row.removed_at + HELD_FOR <= now)


def add(account: Account, host: str, brand: str, now: datetime) -> LinkDomain:
    """A host that is_held() found free. One that was removed begins anew, and is checked again. Raises IntegrityError when it, or
    the brand, was taken in this very moment."""
    with transaction.atomic():
        former = LinkDomain.objects.select_for_update().filter(host=host).first()
        if former is not None and _is_free(former, account.pk, now):
            former.delete()
        return LinkDomain.objects.create(account=account, host=host, brand=brand)


def proof(token: str) -> str:
    """What the host must answer. Not the token: a server that repeats the address it was asked would pass."""
    return token_hash(f"link domain {token}").hex()


def check(domain: LinkDomain, now: datetime) -> bool:
    """Ask for the proof by way of the world, and put down whether it came. Not to be called within a transaction."""
    cause = hold_now(_ask(domain), hold_s=CHECK_S)
    changes = {"check_cause": cause[:500]} if cause else {"check_cause": "", "checked_at": now}
    for name, value in changes.items():
        setattr(domain, name, value)
    domain.save(update_fields=list(changes))
    forget()
    return not cause


def _ask(domain: LinkDomain) -> Dialogue[str]:
    """Why the host does not reach us, and what to do; '' when it does."""
    url = f"{address_of(domain.host)}{PROOF_PATH}{domain.token}"
    try:
        # The host is named although the call carries it anyway: a route of ours may lead the call elsewhere.
        answer = yield Call(method="GET", url=url, headers=(("Host", urlsplit(url).netloc),))
    except Barred as error:
        return f"It cannot be tried from here: {error}"
    except (Unreached, Unanswered) as error:
        return f"{error} Look at the DNS record, and at the certificate that the proxy has for this host."
    return _wrong(domain, answer)


def _wrong(domain: LinkDomain, answer: Answer) -> str:
    if answer.status == 200 and answer.body.strip() == proof(domain.token).encode():
        return ""
    if answer.status == 400:
        return (
            "The server answers 400: the proxy must hand on the Host header as it came (proxy_set_header Host $host)."
        )
    if 300 <= answer.status < 400:
        return f"The server answers {answer.status} and leads elsewhere. It must hand every path on to this service."
    said = "another page" if answer.status == 200 else f"{answer.status}"
    return f"Another server answers there, with {said}. Compare the DNS record and the routes of the proxy."


def brands_without_host(account_id: int, brands: Iterable[str]) -> list[str]:
    """Those of these brands ('' stands for all) that have no host yet."""
    rows = LinkDomain.objects.filter(account_id=account_id, removed_at=None)
    taken = set(rows.values_list("brand", flat=True))
    return [brand for brand in dict.fromkeys(("", *brands)) if brand not in taken]
