from django.db import migrations, models
from django.db.models import Exists, OuterRef


def name_who_revoked(apps, schema_editor):
    """Where WeChat refused a message after the unit was granted it was WeChat, else the person."""
    Grant = apps.get_model("subscriptions", "Grant")
    Drift = apps.get_model("subscriptions", "Drift")
    revoked = Grant.objects.filter(state="revoked")
    drifted = Drift.objects.filter(
        template=OuterRef("template"), subscriber=OuterRef("subscriber"), at__gte=OuterRef("granted_at")
    )
    revoked.filter(Exists(drifted)).update(revoked_by="wechat")
    revoked.filter(revoked_by="").update(revoked_by="person")


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0008_bans")]

    operations = [
        migrations.AddField(
            model_name="grant",
            name="revoked_by",
            field=models.CharField(
                blank=True,
                choices=[("person", "turned off by the person"), ("wechat", "refused by WeChat")],
                max_length=8,
                verbose_name="revoked because",
            ),
        ),
        migrations.RunPython(name_who_revoked, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(("revoked_by__in", ["person", "wechat"]), ("state", "revoked"))
                | models.Q(models.Q(("state", "revoked"), _negated=True), ("revoked_by", "")),
                name="grant_says_who_revoked_it",
            ),
        ),
    ]
