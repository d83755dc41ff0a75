"""The ready-made roles."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from notify_platform.console.roles import LABELS, ROLES


def permissions_of(role: str) -> set[str]:
    rows = Group.objects.get(name=role).permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


def migrate_again() -> None:
    call_command("migrate", verbosity=0)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_a_migrated_database_has_each_role_with_exactly_its_permissions(role: str) -> None:
    assert permissions_of(role) == set(ROLES[role])


def test_every_role_has_words() -> None:
    assert LABELS.keys() == ROLES.keys()


@pytest.mark.django_db
def test_migrating_again_keeps_what_an_administrator_added_and_brings_back_what_the_table_gives() -> None:
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.add(Permission.objects.get(codename="view_pace"))
    viewer.permissions.remove(Permission.objects.get(codename="view_sendjob"))
    migrate_again()
    assert permissions_of("viewer") == {*ROLES["viewer"], "delivery.view_pace"}
    assert Group.objects.count() == len(ROLES)


@pytest.mark.django_db
def test_a_deleted_role_comes_back_whole() -> None:
    Group.objects.get(name="operator").delete()
    migrate_again()
    assert permissions_of("operator") == set(ROLES["operator"])


def test_only_the_approver_approves_and_only_the_operator_operates() -> None:
    def holders(permission: str) -> set[str]:
        return {role for role, permissions in ROLES.items() if permission in permissions}

    assert holders("jobs.approve_sendjob") == {"approver"}
    assert holders("jobs.operate_sendjob") == {"operator"}
    assert holders("jobs.change_sendjob") == {"operator"}
    assert holders("subscriptions.change_subscriber") == {"engineer"}


def test_every_model_of_the_platform_can_be_read_at_the_desk() -> None:
    from django.contrib import admin

    ours = {"templates_app", "subscriptions", "jobs", "delivery", "callbacks", "api", "alerts", "core"}
    models = {model for config in apps.get_app_configs() if config.label in ours for model in config.get_models()}
    inlines = {inline.model for each in admin.site._registry.values() for inline in each.inlines}
    assert models - set(admin.site._registry) - inlines == set()
