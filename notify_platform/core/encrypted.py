"""Secrets at rest: a text field whose column holds ciphertext."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    _TextField = models.TextField[str, str]
else:
    _TextField = models.TextField


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("CREDENTIALS_KEYS is empty: set it to a Fernet key before storing a secret.")
    return MultiFernet([Fernet(key) for key in keys])


def cipher() -> MultiFernet:
    """Return the cipher of ``CREDENTIALS_KEYS``: the first key encrypts, every key decrypts."""
    return _cipher(tuple(settings.CREDENTIALS_KEYS))


class EncryptedTextField(_TextField):
    """Text stored encrypted (Fernet). Empty text is stored empty, so "not set" can be asked in SQL.

    A value no key can open raises ``ImproperlyConfigured``: a wrong key must never look like an empty secret.
    """

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way to the database."""
        text = super().get_prep_value(value)
        return cipher().encrypt(text.encode()).decode("ascii") if text else text

    def from_db_value(self, value: str | None, expression: object, connection: BaseDatabaseWrapper) -> str | None:
        """Decrypt on the way out."""
        if not value:
            return value
        try:
            return cipher().decrypt(value.encode("ascii")).decode()
        except InvalidToken as error:
            raise ImproperlyConfigured(
                f"No key of CREDENTIALS_KEYS opens {self.model.__name__}.{self.name}; put the old key after the new."
            ) from error
