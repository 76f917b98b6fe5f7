"""The settings in a browser: at two widths and in both themes nothing serious, nothing wider than the phone."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
SIZES = [{"viewport": {"width": width, "height": 900}} for width in (1400, 390)]
ADDRESSES = (
    "settings/",
    "people/",
    "settings/words/",
    "settings/policies/",
    "settings/rates/",
    "settings/keys/",
    "settings/history/",
)


@pytest.mark.parametrize("context", SIZES, indirect=True, ids=["wide", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_can_be_read_by_everybody(
    owner: Callable[..., Page], serious: Callable[[Page], list[str]], theme: str
) -> None:
    page = owner(factories.AccountFactory())
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    start = page.url
    for address in ADDRESSES:
        page.goto(f"{start}{address}")
        assert (address, serious(page)) == (address, [])
        assert (address, page.evaluate("document.documentElement.scrollWidth <= innerWidth")) == (address, True)
