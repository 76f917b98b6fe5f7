"""manage.py demo: a burst of realistic traffic against the running service, and a ledger of it that must add up."""

import os
import sys
import urllib.error
import urllib.request
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from trackly.demo import tables
from trackly.demo.progress import Progress
from trackly.demo.run import Run, Unready
from trackly.demo.traffic import URL
from trackly.locks import advisory_lock

FEWEST, MOST = 20, 5_000


class Command(BaseCommand):
    help = "Play a day of traffic against the running service and print a ledger of it. Ends with code 1 if it does not add up."

    def add_arguments(self, parser: Any) -> None:
        default = settings.PUBLIC_BASE_URL or f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
        parser.add_argument("--messages", type=int, default=200, help=f"{FEWEST} to {MOST:,}; 200 if not given.")
        parser.add_argument("--seed", type=int, help="The same seed draws the same traffic, with other ids.")
        parser.add_argument("--base", default=default, help="Where the service runs.")

    def handle(self, *args: Any, messages: int, seed: int | None, base: str, **options: Any) -> None:
        if not FEWEST <= messages <= MOST:
            raise CommandError(f"--messages takes {FEWEST} to {MOST:,}.")
        base = base.rstrip("/")
        _demand_service(base)
        with advisory_lock("demo") as is_ours:
            if not is_ours:
                raise CommandError("Another demo is running; wait until it is through.")
            run = Run(base, messages, seed=seed, now=timezone.now(), progress=Progress(self.stdout))
            try:
                run.send()
            except Unready as error:
                raise CommandError(str(error)) from error
            except KeyboardInterrupt:
                raise CommandError(
                    "\nStopped in the middle: what was sent stays, and the next demo begins anew."
                ) from None
            ledger = run.ledger()
        self.stdout.write(str(ledger))
        if ledger.wrong:
            sys.exit(1)
        self.stdout.write(
            f"Look at it: {base}/ as owner, or {base}/admin/ as staff (account: {run.stage.account},"
            f" campaign: {run.campaign.name})."
        )


def _demand_service(base: str) -> None:
    """That somebody answers there, that the sandbox is on, and that a worker takes the rows."""
    if _status(f"{base}/healthz") != 200:
        raise CommandError(
            f"Nothing answers at {base}: start the service with `make run` in another terminal, or use --base."
        )
    # It is called with POST only, and says so if it is there at all.
    if _status(f"{base}{URL}") != 405:
        raise CommandError(
            "The sandbox provider is off: start the service with SANDBOX_ENABLED=true (`make run` does)."
        )
    if not tables.has_worker():
        raise CommandError("No worker is running: start one with `manage.py work` (`make run` does).")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return 0
