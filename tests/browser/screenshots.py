"""`make screenshots`: starts the service on data of its own, plays the demo, and photographs the pages into docs/screenshots.

`python -m tests.browser.screenshots FOLDER` photographs every admin page there, light and dark, wide and on a phone, to be
looked at after a change.
"""

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
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "docs" / "screenshots"
# Name -> page, the first row of its list where it ends in "first".
SHOWN = {
    "overview": "/admin/",
    "message": "/admin/sendinglists/message/?status__exact=failed first",
    "conversion": "/admin/postbacks/conversion/?verdict__exact=duplicate_differs first",
}
_LISTS = re.compile(r'href="(/admin/\w+/\w+/)(?:\?[^"]*)?"')
_WIDE, _PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def service(directory: Path) -> Iterator[tuple[str, str]]:
    """The address of a running service with the demo's data, and the staff user's password."""
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
        password = re.search(r"staff\s+password (\S+)", log.read_text())
        assert password is not None
        yield f"http://127.0.0.1:{port}", password[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def signed_in(browser: Browser, base: str, password: str, *, theme: str, viewport: dict[str, int]) -> Page:
    page = browser.new_context(viewport=viewport, color_scheme=theme).new_page()  # type: ignore[arg-type]
    page.goto(f"{base}/admin/")
    page.fill("[name=login]", "staff")
    page.fill("[name=password]", password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{base}/admin/")
    return page


def photograph(page: Page, base: str, address: str, target: Path, *, whole: bool) -> None:
    path, _, first = address.partition(" ")
    page.goto(base + path)
    if first:
        row = page.locator("#result_list tbody a[href*='/change/']").first
        if not row.count():
            return
        row.click()
    page.wait_for_load_state("networkidle")
    # The theme fades in.
    page.wait_for_timeout(300)
    page.screenshot(path=target, full_page=whole)


def for_readme(browser: Browser, base: str, password: str) -> None:
    README.mkdir(parents=True, exist_ok=True)
    for theme in ("light", "dark"):
        page = signed_in(browser, base, password, theme=theme, viewport={"width": 1280, "height": 800})
        for name, address in SHOWN.items():
            photograph(page, base, address, README / f"{name}-{theme}.png", whole=False)


def everything(browser: Browser, base: str, password: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for theme, viewport in (("light", _WIDE), ("dark", _WIDE), ("light", _PHONE), ("dark", _PHONE)):
        page = signed_in(browser, base, password, theme=theme, viewport=viewport)
        lists = sorted(set(_LISTS.findall(page.content())))
        for path in ["/admin/", *(way for at in lists for way in (at, f"{at} first"))]:
            name = re.sub(r"\W+", "-", path.removeprefix("/admin/")).strip("-") or "index"
            photograph(page, base, path, folder / f"{name}-{theme}-{viewport['width']}.png", whole=True)


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("There is no Chromium: `apt-get install chromium` brings it.")
    with (
        tempfile.TemporaryDirectory() as directory,
        service(Path(directory)) as (base, password),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        if len(sys.argv) > 1:
            everything(browser, base, password, Path(sys.argv[1]))
        else:
            for_readme(browser, base, password)
        browser.close()


if __name__ == "__main__":
    main()
