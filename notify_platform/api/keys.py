"""API keys: issued once in plain text, kept as a digest, revocable. The only writer of ``ApiKey``."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.api.models import ApiKey
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

PREFIX_BYTES: Final = 6
SECRET_BYTES: Final = 32
# The moment of last use is for people; a write for every request would be for nobody.
NOTE_USE_EVERY: Final = timedelta(minutes=1)
LONGEST_DAYS: Final = 3650
NAME_LENGTH: Final = 60


class Issued(NamedTuple):
    """A new key, and the text its owner has to store: it is never seen again."""

    key: ApiKey
    plaintext: str


def issue(
    mini_program: MiniProgram,
    *,
    name: str,
    scopes: Collection[str],
    by: AbstractBaseUser | None,
    expires_at: datetime | None = None,
) -> Issued:
    """Make a key for a back end. ``scopes``: words of ``ApiKey.Scope``, at least one. Raises ``Refused``."""
    if not name.strip() or len(name) > NAME_LENGTH:
        sentence = _("Give the key a name of at most %(limit)d characters.")
        raise Refused(sentence % {"limit": NAME_LENGTH}, code="bad_name")
    wrong = sorted(set(scopes) - set(ApiKey.Scope.values))
    if wrong or not scopes:
        known = ", ".join(ApiKey.Scope.values)
        raise Refused(_("Choose what the key may be used for: %(known)s.") % {"known": known}, code="bad_scopes")
    if expires_at is not None and expires_at <= timezone.now():
        raise Refused(_("A key must expire in the future."), code="bad_expiry")
    prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    with transaction.atomic():
        key = ApiKey.objects.create(
            mini_program=mini_program,
            name=name,
            prefix=prefix,
            secret_hash=_digest(secret),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
            created_by_id=by.pk if by else None,
        )
        audit(by, action="issue_key", subject=f"api key {key.pk}", scopes=key.scopes, mini_program=mini_program.pk)
    return Issued(key=key, plaintext=f"{prefix}.{secret}")


def revoke(key: ApiKey, *, by: AbstractBaseUser | None) -> bool:
    """End a key at once; False when it was revoked before."""
    with transaction.atomic():
        revoked = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=Now()) == 1
        if revoked:
            audit(by, action="revoke_key", subject=f"api key {key.pk}", mini_program=key.mini_program_id)
    return revoked


def check(plaintext: str) -> ApiKey:
    """Return the key this text opens, with its mini-program. Raises ``Refused``: unknown, revoked or expired."""
    prefix, _dot, secret = plaintext.partition(".")
    key = ApiKey.objects.select_related("mini_program").filter(prefix=prefix).first() if _is_prefix(prefix) else None
    if key is None or not hmac.compare_digest(key.secret_hash, _digest(secret)):
        raise Refused(_("This is no API key of ours."), code="key_unknown")
    now = timezone.now()
    if key.revoked_at is not None:
        raise Refused(_("This API key was revoked."), code="key_revoked")
    if key.expires_at is not None and key.expires_at <= now:
        raise Refused(_("This API key has expired."), code="key_expired")
    _note_use(key, now=now)
    return key


def _note_use(key: ApiKey, *, now: datetime) -> None:
    long_ago = now - NOTE_USE_EVERY
    if key.last_used_at is None or key.last_used_at <= long_ago:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=long_ago)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _is_prefix(text: str) -> bool:
    """Whether a text has the shape of a prefix: anything else need not bother the database."""
    return len(text) == 2 * PREFIX_BYTES and text.isascii() and text.isalnum()


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
