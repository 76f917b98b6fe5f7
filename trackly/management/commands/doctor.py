"""manage.py doctor: what is wrong with this set-up, and how to mend it. Changes nothing; exit code 1: something is broken."""

import sys
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from sendinglists.models import ProviderAccount
from trackly.doctor.diagnosis import diagnose
from trackly.doctor.findings import Finding, Level

MARKS = {Level.GOOD: "  ok   ", Level.NOTE: "  note ", Level.WARNING: "  LOOK ", Level.BAD: "  BAD  "}


class Command(BaseCommand):
    help = (
        "Look at the address, clock, workers, queues, partitions and provider accounts; say how to mend what is wrong."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--account", metavar="PUBLIC_ID", help="Only the provider accounts of this account.")
        parser.add_argument("--provider-account", type=int, metavar="ID", help="Only this provider account.")
        parser.add_argument(
            "--offline", action="store_true", help="Call nobody: neither providers nor our own address."
        )

    def handle(self, *args: Any, account: str, provider_account: int, offline: bool, **options: Any) -> None:
        rows = ProviderAccount.objects.all()
        if account:
            rows = rows.filter(account__public_id=account)
        if provider_account:
            rows = rows.filter(pk=provider_account)
        if (account or provider_account) and not rows.exists():
            raise CommandError("There is no such provider account.")
        try:
            is_broken = self._tell(diagnose(rows, timezone.now(), may_call=not offline))
        except BrokenPipeError:
            # `doctor | head`: whoever reads has seen enough.
            sys.stdout = None
            return
        if is_broken:
            sys.exit(1)

    def _tell(self, findings: Iterable[Finding]) -> bool:
        """Line by line as they come; True when something is broken."""
        is_broken = False
        for finding in findings:
            is_broken |= finding.level == Level.BAD
            self.stdout.write(f"{MARKS[finding.level]}{finding.about}: {finding.said}")
            if finding.fix and finding.level != Level.GOOD:
                self.stdout.write(f"         → {finding.fix}")
            self.stdout.flush()
        return is_broken
