#!/usr/bin/env python
"""The command line. Without DATABASE_URL it works on the embedded PostgreSQL in var/ (trackly/embedded.py)."""

import os
import sys

NEEDS_NO_DATABASE = {"help", "version", "--help", "--version", "makemessages", "collectstatic"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackly.settings")
    if sys.argv[1:2] and sys.argv[1] not in NEEDS_NO_DATABASE:
        from trackly import embedded

        embedded.prepare(beside_up=sys.argv[1:2] != ["up"])
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}. The README's configuration table says what it is for.")


if __name__ == "__main__":
    main()
