from django.db import migrations


class Migration(migrations.Migration):
    """Make a constraint again that 0005 took away on PostgreSQL.

    There, dropping the index of a relation drops every index on its column alone, and a unique constraint with a
    condition is such an index.
    """

    dependencies = [
        ('delivery', '0006_may_export'),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE UNIQUE INDEX IF NOT EXISTS delivery_one_in_flight_per_person ON delivery_delivery (subscriber_id) "
            "WHERE state IN ('claimed', 'sending')",
            migrations.RunSQL.noop,
        ),
    ]
