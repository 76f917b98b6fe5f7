"""Totals of requests by how they stand, filled from the inbox; a primary key that also reads the inbox newest first."""

from django.db import migrations, models

# Frozen: the rule as it was when this ran.
FILL = """
INSERT INTO webhooks_requesttotal (source, slug, party_id, hour, account_id, standing, n, last_at)
SELECT source, slug, coalesce(party_id, 0), date_trunc('hour', received_at, 'UTC'), coalesce(account_id, 0),
       CASE WHEN state IN ('failed', 'discarded') THEN state
            WHEN method = 'HEAD' THEN 'probe'
            WHEN refusal <> '' THEN refusal
            ELSE 'accepted' END,
       count(*), max(received_at)
FROM webhooks_inboundrequest WHERE state <> 'waiting'
GROUP BY 1, 2, 3, 4, 5, 6
"""
# With the source in front, the newest of both sources were found only by sorting the whole table.
NEWEST_FIRST = """
ALTER TABLE webhooks_inboundrequest DROP CONSTRAINT webhooks_inboundrequest_pkey;
ALTER TABLE webhooks_inboundrequest ADD PRIMARY KEY (received_at, uid, source);
"""
SOURCE_FIRST = NEWEST_FIRST.replace("(received_at, uid, source)", "(source, received_at, uid)")


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name='RequestTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField(help_text='Its beginning, UTC; of the time they were received.')),
                ('source', models.CharField(choices=[('webhook', 'SMS provider'), ('postback', 'Affiliate network')], max_length=10)),
                ('slug', models.CharField(max_length=30, verbose_name='provider')),
                ('account_id', models.BigIntegerField(default=0)),
                ('party_id', models.BigIntegerField(default=0)),
                ('standing', models.CharField(choices=[('accepted', 'Accepted'), ('failed', 'Failed'), ('discarded', 'Discarded'), ('probe', 'Probe'), ('over_quota', 'Not kept, over the quota'), ('bad_secret', 'Wrong or withdrawn token in the URL'), ('bad_signature', 'Signature or credentials do not match'), ('unproven', 'Nothing proves who sent it'), ('ip_not_allowed', 'Address not on the list'), ('plain_http', 'Sent over plain http'), ('unreadable', 'Body not readable'), ('unknown_account', 'No such account'), ('wrong_account', 'Token and account do not belong together')], max_length=20)),
                ('n', models.BigIntegerField(default=0)),
                ('last_at', models.DateTimeField(help_text='The newest that was ever counted here.')),
            ],
            options={
                'indexes': [models.Index(fields=['hour'], name='requesttotal_hour')],
                'constraints': [models.UniqueConstraint(fields=('source', 'slug', 'party_id', 'hour', 'account_id', 'standing'), name='requesttotal_once')],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(NEWEST_FIRST, SOURCE_FIRST),
        # The condition of inbound_failed as 0001 made it in SQL; only its description had another.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex(model_name="inboundrequest", name="inbound_failed"),
                migrations.AddIndex(
                    model_name="inboundrequest",
                    index=models.Index(
                        condition=models.Q(
                            ("state__in", ["failed", "refused"]),
                            models.Q(("state", "done"), models.Q(("refusal", ""), _negated=True)),
                            models.Q(("attempts__gt", 0), ("state", "waiting")),
                            _connector="OR",
                        ),
                        fields=["received_at", "uid"],
                        name="inbound_failed",
                    ),
                ),
            ],
        ),
    ]
