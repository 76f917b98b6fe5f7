"""Indexes by which support finds what a ticket names without its account: a provider's message id, a phone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sendinglists", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(fields=["phone"], name="contact_phone"),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["phone"], name="suppression_phone"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("provider_message_id", ""), _negated=True),
                fields=["provider_message_id"],
                name="message_provider_id",
            ),
        ),
    ]
