"""Which addresses join the list of a provider or network, and which are refused with a reason."""

import pytest

from tests.factories import AddressRangeFactory, UserFactory
from trackly.addresses import CannotAllow, allow_address
from trackly.models import AddressRange, AuditEntry

pytestmark = pytest.mark.django_db


def allow(address, slug="sandbox", user=None):
    return allow_address(slug, address, user=user, note="They wrote so on Monday")


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7/32\n", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("203.0.0.0/16", "203.0.0.0/16"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_an_address_or_a_range_joins_the_list_and_is_audited(address, kept):
    user = UserFactory()
    row = allow(address, user=user)
    assert (row.slug, row.cidr, row.note) == ("sandbox", kept, "They wrote so on Monday")
    row.full_clean()
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.verb, entry.target) == (user, "allowed", f"address range {row.pk}")
    assert entry.detail == f"sandbox {kept}: They wrote so on Monday"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "neither"),
        ("everywhere.example.com", "neither"),
        ("203.0.113.7, 203.0.113.8", "neither"),
        ("203.0.113.256", "neither"),
        ("3405803783", "neither"),
        ("0.0.0.0/0", "too wide"),
        ("203.0.0.0/15", "too wide"),
        ("::/0", "too wide"),
        ("2001::/31", "too wide"),
        ("::ffff:203.0.113.7", "IPv4"),
        ("fe80::1%eth0", "zone"),
        ("x" * 5_000, "neither"),
    ],
)
def test_anything_else_is_refused_with_a_reason(address, why):
    with pytest.raises(CannotAllow, match=why) as refused:
        allow(address)
    assert len(str(refused.value)) < 150
    assert not AddressRange.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("listed", ["203.0.113.7", "203.0.113.7/32", "203.0.113.0/24", "203.0.113.9/24"])
def test_what_the_list_holds_already_is_not_added_again(listed):
    AddressRangeFactory(slug="sandbox", cidr=listed)
    with pytest.raises(CannotAllow, match="on the list of sandbox already"):
        allow("203.0.113.7")
    assert AddressRange.objects.count() == 1
    assert allow("203.0.113.7", slug="other").slug == "other"


def test_a_wider_range_may_join_what_it_holds():
    allow("203.0.113.7")
    allow("203.0.113.0/24")
    assert AddressRange.objects.count() == 2
