"""Owns the page that tells, for every party that calls us, what it must prove and how its repeats are taken."""

from dataclasses import dataclass

from django.http import HttpResponse

from postbacks.models import NetworkConnection
from sendinglists.models import ProviderAccount, SendingList
from trackly.models import AddressPolicy
from trackly.pages.visits import Visit, page
from trackly.showing import Badge, Shown, lasting

MOST = 200
_ADDRESSES = {
    AddressPolicy.OFF: "From any address",
    AddressPolicy.LOG: "From any address; others than the known ones are logged",
    AddressPolicy.ENFORCE: "From the known addresses alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one party is treated."""

    name: str
    url: str
    cells: tuple[Shown, ...]


@page()
def policies(visit: Visit) -> HttpResponse:
    context = {
        "title": "Who may call, and what counts",
        "here": "policies",
        "providers": [_provider(visit, row) for row in _kept(visit)],
        "networks": [_network(visit, row) for row in visit.rows(NetworkConnection).order_by("name")[:MOST]],
        "lists": visit.rows(SendingList).exclude(status=SendingList.State.DELETED).order_by("name")[:MOST],
    }
    return visit.render("pages/settings/policies.html", context)


def _kept(visit: Visit) -> list[ProviderAccount]:
    rows = visit.rows(ProviderAccount).filter(removed_at=None).defer("credentials", "callback_token")
    return list(rows.order_by("name")[:MOST])


def _provider(visit: Visit, row: ProviderAccount) -> Policy:
    proof = Badge("Proof demanded", "good") if row.demands_authentication else Badge("No proof demanded", "bad")
    return Policy(
        name=row.name,
        url=visit.url("credentials", row.pk),
        cells=(proof, _ADDRESSES[AddressPolicy(row.address_policy)]),
    )


def _network(visit: Visit, row: NetworkConnection) -> Policy:
    late = "do not count" if row.excludes_late else "count, marked late"
    return Policy(
        name=row.name,
        url=visit.url("connection", row.pk),
        cells=(
            Badge("Token URL alone", "good") if row.token_only else Badge("Bare URL counts as unverified", "wait"),
            _ADDRESSES[AddressPolicy(row.address_policy)],
            f"{row.get_duplicate_rule_display()}, within {lasting(row.duplicate_window)}",
            f"{lasting(row.attribution_window)}; later ones {late}",
            ", ".join(f"{word} → {status}" for word, status in sorted(row.status_words.items())),
        ),
    )
