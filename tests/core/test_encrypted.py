"""Secrets at rest."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from templates_app.models import MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db


def column():
    with connection.cursor() as cursor:
        cursor.execute("SELECT app_secret FROM templates_app_miniprogram")
        return cursor.fetchone()[0]


def test_a_secret_is_ciphertext_in_the_database_and_text_in_python():
    factories.a_mini_program(app_secret="very-secret")

    assert "very-secret" not in column()
    assert MiniProgram.objects.get().app_secret == "very-secret"


def test_an_empty_secret_stays_empty_so_that_sql_can_ask_for_it():
    factories.a_mini_program(app_secret="")

    assert column() == ""
    assert MiniProgram.objects.filter(app_secret="").count() == 1


def test_an_old_key_still_opens_what_it_closed(settings):
    factories.a_mini_program(app_secret="very-secret")
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode(), *settings.CREDENTIALS_KEYS]

    assert MiniProgram.objects.get().app_secret == "very-secret"


def test_a_key_that_does_not_fit_is_an_error_and_never_an_empty_secret(settings):
    factories.a_mini_program(app_secret="very-secret")
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(ImproperlyConfigured, match=r"MiniProgram\.app_secret"):
        MiniProgram.objects.get()


def test_without_a_key_no_secret_is_stored(settings):
    settings.CREDENTIALS_KEYS = []

    with pytest.raises(ImproperlyConfigured, match="CREDENTIALS_KEYS"):
        factories.a_mini_program(app_secret="very-secret")
