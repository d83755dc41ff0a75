"""Between us and WeChat: secrets that can be read, access tokens, pushes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.db.models import Count, Exists, Min, OuterRef, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.console.desk import durations
from notify_platform.core.clock import database_now
from notify_platform.core.encrypted import EncryptedTextField, cipher
from notify_platform.delivery.models import Delivery
from notify_platform.insights import overview
from notify_platform.insights.books import Finding
from notify_platform.jobs.models import SendJob
from templates_app.models import AccessToken, MiniProgram

# WeChat's tokens are valid for two hours (WeChat's docs, getStableAccessToken).
LONGEST_LIFE: Final = timedelta(hours=2, minutes=5)
FAILED_WITHIN: Final = timedelta(days=1)
PENDING_FOR: Final = timedelta(minutes=5)


def secrets() -> Iterator[Finding]:
    """Everything that is encrypted can be read with the keys of today."""
    for model in apps.get_models():
        fields = [field for field in model._meta.local_fields if isinstance(field, EncryptedTextField)]
        for field in fields:
            unreadable = sum(not _opens(text) for text in _ciphertexts(model, field.name))
            if unreadable:
                sentence = _("no key of CREDENTIALS_KEYS opens: %(field)s") % {"field": field.verbose_name}
                cure = _(
                    "Put the old key behind the new one in CREDENTIALS_KEYS, or enter the secret again at the desk."
                )
                yield Finding("secrets", sentence, unreadable, cure)


def _ciphertexts(model: Any, name: str) -> Iterator[str]:
    rows = model._default_manager.annotate(ciphertext=Cast(name, TextField())).exclude(ciphertext="")
    return iter(rows.values_list("ciphertext", flat=True).iterator())


def _opens(ciphertext: str) -> bool:
    try:
        cipher().decrypt(ciphertext.encode())
    except InvalidToken:
        return False
    return True


def tokens() -> Iterator[Finding]:
    """A mini-program with messages due has a valid access token, and none is valid for longer than WeChat's are."""
    now = database_now()
    valid = AccessToken.objects.filter(mini_program=OuterRef("mini_program"), expires_at__gt=now).exclude(token="")
    due = Delivery.objects.filter(job=OuterRef("pk"), state=Delivery.State.WAITING, due_at__lt=now - PENDING_FOR)
    waiting = SendJob.objects.filter(Exists(due), ~Exists(valid), state=SendJob.State.RUNNING)
    for app in waiting.order_by("mini_program").values_list("mini_program__name", flat=True).distinct():
        sentence = _("%(name)s has messages due and no valid access token") % {"name": app}
        cure = _("Check its app id, its secret and WeChat's IP whitelist; the worker's log says what WeChat answers.")
        yield Finding("token", sentence, 1, cure)
    endless = AccessToken.objects.filter(expires_at__gt=now + LONGEST_LIFE)
    for app in endless.values_list("mini_program__name", flat=True):
        sentence = _("the access token of %(name)s ends later than any of WeChat's: a clock was set back")
        cure = _("Set the clock right, then delete the row: the next message fetches one.")
        yield Finding("token", sentence % {"name": app}, 1, cure)


def callbacks() -> Iterator[Finding]:
    """Pushes come, and are handled."""
    now = database_now()
    failed = CallbackEvent.objects.filter(state=CallbackEvent.State.FAILED, received_at__gt=now - FAILED_WITHIN)
    if number := failed.count():
        cure = _("Read their errors in the list of callbacks; “process again” when the cause is mended.")
        yield Finding("callbacks", _("pushes of WeChat failed within a day"), number, cure)
    late = CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING, due_at__lt=now - PENDING_FOR)
    told = late.aggregate(number=Count("pk"), first=Min("due_at"))
    if told["number"]:
        waited = durations.words((now - told["first"]).total_seconds())
        sentence = _("pushes of WeChat wait to be handled, the first for %(time)s") % {"time": waited}
        yield Finding("callbacks", sentence, told["number"], _("See that a worker runs; its log says what stops it."))
    yield from _silence()


def _silence() -> Iterator[Finding]:
    """WeChat accepts messages and tells the end of none: its pushes do not reach us."""
    names = dict(MiniProgram.objects.values_list("pk", "name"))
    for pk, accepted in overview.untold(overview.of_programs(names)).items():
        pushes = CallbackEvent.objects.filter(mini_program=pk).order_by("-pk")
        last = pushes.values_list("received_at", flat=True).first()
        seen = f"{timezone.localtime(last):%Y-%m-%d %H:%M}" if last else _("never")
        sentence = _("messages of %(name)s that WeChat accepted, and it told the end of none; its last push: %(last)s")
        cure = _("Hold the address, token and key of message push in WeChat's console against the mini-program's page.")
        yield Finding("callbacks", sentence % {"name": names[pk], "last": seen}, accepted, cure)
