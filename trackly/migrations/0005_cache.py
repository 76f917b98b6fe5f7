"""The table of the cache, which has no model: how often somebody tried to sign in is counted there."""

from typing import Any

from django.core.management import call_command
from django.db import migrations


def make(apps: Any, schema_editor: Any) -> None:
    """Does nothing where the table is there."""
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("trackly", "0004_pages")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
