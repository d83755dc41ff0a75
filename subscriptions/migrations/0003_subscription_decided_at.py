from django.db import migrations, models
from django.db.models import F


def take_the_last_change(apps, schema_editor):
    """What is on or off was decided no later than it was written down."""
    subscriptions = apps.get_model("subscriptions", "Subscription").objects.using(schema_editor.connection.alias)
    subscriptions.filter(state__in=["on", "off"]).update(decided_at=F("changed_at"))
    subscriptions.filter(state="off").update(turned_off_at=F("changed_at"))


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0002_answer_pairs'),
    ]

    operations = [
        migrations.AddField(
            model_name='subscription',
            name='decided_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='decided'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='turned_off_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='turned off'),
        ),
        migrations.RunPython(take_the_last_change, migrations.RunPython.noop),
    ]
