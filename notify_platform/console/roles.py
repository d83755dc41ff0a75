"""The ready-made roles: which group may do what, as one table.

The groups' names are English and stable, because settings, imports and people refer to them; the desk shows
``LABELS``. Groups are made after every migration. What an administrator adds to a group by hand stays; what the table
gives comes back, so a role that should do less is a group of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.apps import apps as global_apps
from django.contrib.auth.management import create_permissions
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

READING = (
    "templates_app.view_miniprogram",
    "templates_app.view_messagetemplate",
    "templates_app.view_templatefield",
    "templates_app.view_templatechange",
    "subscriptions.view_subscriber",
    "subscriptions.view_visit",
    "subscriptions.view_subscription",
    "subscriptions.view_answer",
    "subscriptions.view_grant",
    "subscriptions.view_scene",
    "subscriptions.view_scenetemplate",
    "subscriptions.view_audience",
    "subscriptions.view_audiencemember",
    "subscriptions.view_promptreport",
    "subscriptions.view_askingtally",
    "subscriptions.view_expecteddemand",
    "subscriptions.view_drift",
    "alerts.view_alert",
    "jobs.view_series",
    "jobs.view_sendjob",
    "jobs.view_trigger",
    "jobs.view_variant",
    "jobs.view_event",
    "delivery.view_delivery",
    "delivery.view_skip",
    "delivery.view_open",
    "delivery.view_conversion",
    "delivery.view_feedback",
)
# Files leave the house.
EXPORTING = (
    "delivery.export_delivery",
    "delivery.export_skip",
    "delivery.export_feedback",
    "subscriptions.export_grant",
    "subscriptions.export_audience",
)
ROLES: Mapping[str, tuple[str, ...]] = {
    "viewer": READING,
    "operator": (
        *READING,
        *EXPORTING,
        # Fetches the templates and takes one out of WeChat's library.
        "templates_app.add_messagetemplate",
        "jobs.add_sendjob",
        "jobs.change_sendjob",
        "jobs.operate_sendjob",
        "alerts.change_alert",
        "subscriptions.add_audience",
        "subscriptions.change_audience",
        "subscriptions.delete_audience",
        "subscriptions.add_scene",
        "subscriptions.change_scene",
        "subscriptions.add_scenetemplate",
        "subscriptions.change_scenetemplate",
        "subscriptions.delete_scenetemplate",
    ),
    "approver": (*READING, "jobs.approve_sendjob", "core.view_auditevent"),
    "engineer": (
        *READING,
        *EXPORTING,
        "templates_app.add_miniprogram",
        "templates_app.change_miniprogram",
        "templates_app.add_messagetemplate",
        "templates_app.change_messagetemplate",
        # Deletes one at WeChat.
        "templates_app.delete_messagetemplate",
        "templates_app.change_templatefield",
        "templates_app.view_accesstoken",
        # Shows whole openids.
        "subscriptions.change_subscriber",
        "alerts.change_alert",
        # Forgets a person.
        "subscriptions.delete_subscriber",
        "delivery.view_pace",
        "delivery.view_throughput",
        # Issues a key, and revokes one.
        "api.add_apikey",
        "api.change_apikey",
        "api.view_apikey",
        "callbacks.view_callbackevent",
        # Lets a push be processed again; its content is nobody's to change.
        "callbacks.change_callbackevent",
        "core.view_workernode",
        "core.view_bell",
        "core.view_driverlease",
        "core.view_auditevent",
        "console.view_failedlogin",
        # Lets in again whoever gave too many wrong passwords.
        "console.change_failedlogin",
    ),
}
LABELS: Mapping[str, _StrPromise] = {
    "viewer": _("Viewer: reads everything about jobs, people and templates"),
    "operator": _("Operator: composes jobs, submits them, starts and stops them"),
    "approver": _("Approver: approves or refuses the jobs of others"),
    "engineer": _("Engineer: mini-programs, keys, callbacks and the audit trail"),
}


def make_roles(
    app_config: AppConfig, *, using: str, interactive: bool = False, apps: Any = global_apps, **kwargs: Any
) -> None:
    """Give every role its permissions on one migrated app; the handler of ``post_migrate``.

    The signal comes once for each app and this receiver may come before the one that makes the app's permissions, so
    they are made here first (making them again changes nothing).
    """
    wanted = {role: _codenames(role, app_label=app_config.label) for role in ROLES}
    try:
        group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:
        # Only some other app has been migrated so far; the signal comes again with auth.
        return
    if not any(wanted.values()):
        return
    create_permissions(app_config, verbosity=0, interactive=interactive, using=using, apps=apps)
    known = permission_model.objects.using(using).filter(content_type__app_label=app_config.label)
    for role, codenames in wanted.items():
        group, _created = group_model.objects.using(using).get_or_create(name=role)
        group.permissions.add(*known.filter(codename__in=codenames))


def _codenames(role: str, *, app_label: str) -> list[str]:
    split = (permission.split(".") for permission in ROLES[role])
    return [codename for label, codename in split if label == app_label]
