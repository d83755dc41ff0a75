"""Sessions of the mini-program: signed, carrying the person and a version, revocable, stored nowhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core import signing
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.core.prepared import Prepared
from subscriptions.models import Subscriber
from subscriptions.people import people
from templates_app.models import MiniProgram

LIFETIME: Final = timedelta(days=7)
SALT: Final = "notify_platform.api.session"
_ID_SALT: Final = "notify_platform.api.subscriber"
_ID_BYTES: Final = 16
_PERSON: Final = Prepared(lambda pk, version: Subscriber.objects.filter(pk=pk, session_version=version))


@dataclass(frozen=True, slots=True)
class Session:
    """What a phone gets: the token it sends along, until when, and who the person is to the outside."""

    token: str
    expires_at: datetime
    subscriber: str


def begin(mini_program: MiniProgram, *, openid: str) -> Session:
    """Begin a session of a person whose openid is proven; who is new gets a record."""
    found = Subscriber.objects.filter(mini_program=mini_program, openid=openid)
    row = found.values_list("pk", "session_version").first()
    if row is None:
        people.enrol(mini_program, openids=[openid])
        row = found.values_list("pk", "session_version").get()
    pk, version = row
    token = signing.dumps([pk, version], salt=SALT)
    expires_at = timezone.now().replace(microsecond=0) + LIFETIME
    return Session(token=token, expires_at=expires_at, subscriber=public_id(pk))


def check(token: str) -> Subscriber:
    """Return the person of a session: the signature, then one query. Raises ``Refused``."""
    try:
        pk, version = signing.loads(token, salt=SALT, max_age=LIFETIME)
    except signing.SignatureExpired as error:
        raise Refused(_("The session has expired: sign in again."), code="session_expired") from error
    except signing.BadSignature as error:
        raise Refused(_("This is no session of ours: sign in again."), code="session_unknown") from error
    found = _PERSON.objects(pk=pk, version=version)
    if not found:
        raise Refused(_("The session was ended: sign in again."), code="session_revoked")
    return found[0]


def public_id(subscriber_id: int) -> str:
    """Return the name a person has outside: always the same, and it tells neither the openid nor how many there are."""
    digest = salted_hmac(_ID_SALT, str(subscriber_id), algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest[:_ID_BYTES]).decode("ascii").rstrip("=")
