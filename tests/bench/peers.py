"""How others send: wechatpy, one row of a plain table for each message, from a thread pool or by a django-q2 task.

The table has one index, its key, and nothing is looked at before a message leaves: no consent, no caps, no hours.
"""

from __future__ import annotations

import threading

from django.conf import settings
from django.db import connection, models
from django.db.models.functions import Now
from django_q.models import OrmQ
from django_q.tasks import async_task
from wechatpy.client import WeChatClient

from tests.bench import crowd

_here = threading.local()


class Message(models.Model):
    """One message to one person."""

    openid = models.CharField(max_length=64)
    nickname = models.CharField(max_length=64)
    msgid = models.CharField(max_length=32, blank=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "bench"

    def __str__(self) -> str:
        return self.openid


def prepare(count: int) -> None:
    """Make the table anew, with so many messages to be sent, and empty the queue."""
    with connection.schema_editor() as editor:
        if Message._meta.db_table in connection.introspection.table_names():
            editor.delete_model(Message)
        editor.create_model(Message)
    OrmQ.objects.all().delete()
    openids = (f"o{number:027d}" for number in range(1, count + 1))
    Message.objects.bulk_create((Message(openid=each, nickname=crowd.NICKNAME) for each in openids), batch_size=1000)


def enqueue() -> None:
    """A task for each message."""
    for key in Message.objects.values_list("pk", flat=True):
        async_task("tests.bench.peers.deliver", key)


def deliver(key: int) -> None:
    """The task: read the row, send, write the row."""
    send(Message.objects.get(pk=key))


def send(message: Message) -> None:
    """Send with wechatpy, and write down that it was sent."""
    data = {
        key: {"value": text.replace("{{ nickname | 朋友 }}", message.nickname)} for key, text in crowd.TEXTS.items()
    }
    told = _client().wxa.send_subscribe_message(message.openid, "T" * 43, data, crowd.PAGE)
    Message.objects.filter(pk=message.pk).update(msgid=str(told["msgid"]), sent_at=Now())


def unsent() -> models.QuerySet[Message]:
    """What is still to be sent."""
    return Message.objects.filter(sent_at=None)


def _client() -> WeChatClient:
    """A client for each thread: requests does not promise that a session serves several, and keeps ten connections."""
    if not hasattr(_here, "client"):
        client = WeChatClient("wx0000000000000001", "s" * 32, access_token=crowd.ACCESS_TOKEN, timeout=10)
        client.wxa.API_BASE_URL = f"{settings.WECHAT_API_BASE_URL}/"
        _here.client = client
    return _here.client
