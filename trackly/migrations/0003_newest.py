"""Indexes by which the audit trail and the totals of one account are listed, the newest first."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trackly", "0002_support"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["account", "-id"], name="audit_account"),
        ),
        migrations.AddIndex(
            model_name="hourlytotal",
            index=models.Index(fields=["account", "-id"], name="hourly_total_account"),
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="account",
            field=models.ForeignKey(
                db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, to="trackly.account"
            ),
        ),
        migrations.AlterField(
            model_name="hourlytotal",
            name="account",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="trackly.account"),
        ),
    ]
