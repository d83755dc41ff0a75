"""Name whom the pushes of before are about."""

from django.db import migrations
from django.db.models import Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left


def name_people(apps, schema_editor):
    """WeChat's pushes name the person in FromUserName."""
    pushes = apps.get_model("callbacks", "CallbackEvent").objects.using(schema_editor.connection.alias)
    pushes.filter(openid="").update(openid=Coalesce(Left(KT("body__FromUserName"), 64), Value("")))


class Migration(migrations.Migration):
    dependencies = [("callbacks", "0002_consent_books")]

    operations = [migrations.RunPython(name_people, migrations.RunPython.noop)]
