"""`make screenshots`: starts the service on data of its own, plays the demo, and photographs the pages into docs/screenshots.

`python -m tests.browser.screenshots FOLDER` photographs every page of the account and of the admin there, light and dark, wide
and on a phone, to be looked at after a change; `… FOLDER account` those of the account alone.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "docs" / "screenshots"
# Name -> page of the admin, the first row of its list where it ends in "first".
STAFFS = {
    "admin-overview": "/admin/",
    "admin-message": "/admin/sendinglists/message/?status__exact=failed first",
    "admin-conversion": "/admin/postbacks/conversion/?verdict__exact=duplicate_differs first",
}
# Name -> page of the account, by its name in the URL table.
OWNERS = {
    "overview": "overview",
    "message": "message",
    "connection": "connection",
    "conversions": "conversions",
}
# Where a picture begins that shows more further down: a heading.
_FROM = {"conversions": "Earned"}
# What stands before any account, and is no account's.
_ENTRANCE = {
    "sign-in": "/account/login/",
    "password-reset": "/account/password/reset/",
}
_OWN = {
    "home": "/",
    "email": "/account/email/",
    "password-change": "/account/password/change/",
    "two-factor": "/account/2fa/",
    "two-factor-app": "/account/2fa/totp/activate/",
    "sign-out": "/account/logout/",
}
_LISTS = re.compile(r'href="(/admin/\w+/\w+/)(?:\?[^"]*)?"')
_WIDE, _PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service with the demo's data."""

    base: str
    passwords: dict[str, str]
    """Of the people of the first start, by user name."""
    pages: dict[str, str]
    """Name in the URL table -> path, of every page of the demo's account."""


@contextmanager
def service(directory: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    env = keep | {"TRACKLY_VAR": str(directory), "PORT": str(port), "STATIC_ROOT": str(directory / "static")}
    log = directory / "up.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True
        )
    try:
        while "Ctrl-C stops everything" not in log.read_text():
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.2)
        subprocess.run([sys.executable, "manage.py", "demo"], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
        passwords = dict(re.findall(r"(owner|staff)\s+password (\S+)", log.read_text()))
        yield Service(base=f"http://127.0.0.1:{port}", passwords=passwords, pages=_pages(env))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _pages(env: dict[str, str]) -> dict[str, str]:
    # In a process of its own: this one has no Django, and none of the service's settings.
    code = "from tests.browser import addresses; addresses.tell()"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    told = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    pages: dict[str, str] = json.loads(told.stdout.splitlines()[-1])
    return pages


def window(browser: Browser, theme: str, viewport: dict[str, int]) -> Page:
    return browser.new_context(viewport=viewport, color_scheme=theme).new_page()  # type: ignore[arg-type]


def sign_in(page: Page, there: Service, person: str, path: str) -> None:
    page.goto(f"{there.base}{path}")
    page.fill("[name=login]", person)
    page.fill("[name=password]", there.passwords[person])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{there.base}{path}")


def photograph(page: Page, url: str, target: Path, *, whole: bool, begin: str | None = None) -> None:
    address, _, first = url.partition(" ")
    page.goto(address)
    if first:
        row = page.locator("#result_list tbody a[href*='/change/']").first
        if not row.count():
            return
        row.click()
    page.wait_for_load_state("networkidle")
    if begin:
        page.get_by_role("heading", name=begin).first.evaluate("at => scrollBy(0, at.getBoundingClientRect().top - 32)")
    # The theme fades in, and charts grow.
    page.wait_for_timeout(300)
    page.screenshot(path=target, full_page=whole)


def for_readme(browser: Browser, there: Service) -> None:
    README.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page = window(browser, theme, {"width": 1280, "height": 800})
        sign_in(page, there, "owner", there.pages["overview"])
        for name, of in OWNERS.items():
            photograph(
                page, there.base + there.pages[of], README / f"{name}-{theme}.png", whole=False, begin=_FROM.get(name)
            )
        page = window(browser, theme, {"width": 1280, "height": 800})
        sign_in(page, there, "staff", "/admin/")
        for name, path in STAFFS.items():
            photograph(page, there.base + path, README / f"{name}-{theme}.png", whole=False)


def everything(browser: Browser, there: Service, folder: Path, *, admin: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for theme, viewport in (("light", _WIDE), ("dark", _WIDE), ("light", _PHONE), ("dark", _PHONE)):
        page = window(browser, theme, viewport)
        ending = f"{theme}-{viewport['width']}.png"
        for name, path in _ENTRANCE.items():
            photograph(page, there.base + path, folder / f"account-{name}-{ending}", whole=True)
        sign_in(page, there, "owner", there.pages["overview"])
        for name, path in (there.pages | _OWN).items():
            photograph(page, there.base + path, folder / f"account-{name}-{ending}", whole=True)
        if admin:
            the_admin(window(browser, theme, viewport), there, folder, ending)


def the_admin(page: Page, there: Service, folder: Path, ending: str) -> None:
    sign_in(page, there, "staff", "/admin/")
    lists = sorted(set(_LISTS.findall(page.content())))
    for path in ["/admin/", *(way for at in lists for way in (at, f"{at} first"))]:
        name = re.sub(r"\W+", "-", path.removeprefix("/admin/")).strip("-") or "index"
        photograph(page, there.base + path, folder / f"admin-{name}-{ending}", whole=True)


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("There is no Chromium: `apt-get install chromium` brings it.")
    with (
        tempfile.TemporaryDirectory() as directory,
        service(Path(directory)) as there,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        if len(sys.argv) > 1:
            everything(browser, there, Path(sys.argv[1]), admin=sys.argv[2:] != ["account"])
        else:
            for_readme(browser, there)
        browser.close()


if __name__ == "__main__":
    main()
