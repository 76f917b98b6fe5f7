"""Indexes by which the contacts, subscriptions, suppressions and links of one account are listed, the newest first."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("postbacks", "0003_newest"),
        ("sendinglists", "0002_support"),
        ("trackly", "0003_newest"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(fields=["account", "-id"], name="contact_account"),
        ),
        migrations.AddIndex(
            model_name="link",
            index=models.Index(fields=["account", "-id"], name="link_account"),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(fields=["account", "-id"], name="subscription_account"),
        ),
        migrations.AddIndex(
            model_name="subscriptionchange",
            index=models.Index(fields=["account", "-id"], name="subscriptionchange_account"),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["account", "-id"], name="suppression_account"),
        ),
        migrations.AlterField(
            model_name="contact",
            name="account",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="trackly.account"),
        ),
        migrations.AlterField(
            model_name="link",
            name="account",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="trackly.account"),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="account",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="trackly.account"),
        ),
        migrations.AlterField(
            model_name="subscriptionchange",
            name="account",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="trackly.account"),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="account",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="trackly.account"),
        ),
    ]
