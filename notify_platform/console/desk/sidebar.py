"""The sidebar: what a colleague may see, and nothing else; and what every page's head names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from notify_platform.console import access
from notify_platform.jobs.models import SendJob

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True, slots=True)
class Item:
    """A list of the desk: ``model`` as ``app.model``, and a Material symbol; or a ``page`` made of the model's rows."""

    model: str
    title: _StrPromise
    icon: str
    page: str = ""


_GROUPS: tuple[tuple[_StrPromise, tuple[Item, ...]], ...] = (
    (
        _("Sending"),
        (
            Item("jobs.sendjob", _("Send jobs"), "send"),
            Item("subscriptions.audience", _("Audiences"), "groups"),
            Item("delivery.delivery", _("Delivery log"), "receipt_long"),
            Item("delivery.skip", _("People left out"), "person_off"),
            Item("jobs.series", _("Series"), "event_repeat"),
            Item("jobs.trigger", _("Triggers"), "bolt"),
            Item("jobs.event", _("Events"), "webhook"),
        ),
    ),
    (
        _("Templates and consent"),
        (
            Item("subscriptions.expecteddemand", _("Consent forecast"), "inventory", page="subscriptions_forecast"),
            Item("subscriptions.askingtally", _("Scene report"), "insights", page="subscriptions_scene_report"),
            Item("templates_app.messagetemplate", _("Templates"), "description"),
            Item("subscriptions.scene", _("Scenes"), "touch_app"),
            Item("subscriptions.grant", _("Grants"), "confirmation_number"),
            Item("subscriptions.subscription", _("Standing subscriptions"), "notifications"),
            Item("subscriptions.answer", _("Answers"), "how_to_vote"),
            Item("subscriptions.promptreport", _("Prompt reports"), "quiz"),
            Item("subscriptions.drift", _("Drift"), "difference"),
        ),
    ),
    (
        _("People"),
        (
            Item("subscriptions.subscriber", _("Subscribers"), "person"),
            Item("subscriptions.visit", _("Visits"), "footprint"),
            Item("delivery.open", _("Opens"), "ads_click"),
            Item("delivery.conversion", _("Conversions"), "flag"),
            Item("delivery.feedback", _("Feedback"), "thumbs_up_down"),
        ),
    ),
    (
        _("Engineering"),
        (
            Item("alerts.alert", _("Alerts"), "warning"),
            Item("templates_app.miniprogram", _("Mini-programs"), "apps"),
            Item("api.apikey", _("API keys"), "vpn_key"),
            Item("callbacks.callbackevent", _("Callbacks"), "call_received"),
            Item("templates_app.accesstoken", _("Access tokens"), "key"),
            Item("delivery.pace", _("Paces"), "speed"),
            Item("core.workernode", _("Workers"), "memory"),
            Item("core.auditevent", _("Audit trail"), "history"),
            Item("console.failedlogin", _("Failed log-ins"), "lock_person"),
            Item("auth.user", _("Accounts"), "badge"),
            Item("auth.group", _("Roles"), "shield_person"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the sidebar with the lists this colleague may see."""
    front = {"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [front]}]
    for title, items in _GROUPS:
        seen = [_entry(item, request) for item in items if _may_see(request, item.model)]
        if seen:
            groups.append({"title": title, "separator": True, "items": seen})
    return groups


def waiting_for_approval(request: HttpRequest) -> str:
    """Return the number of jobs that wait for a second person; empty when there are none."""
    number = _waiting(request).count()
    return str(number) if number else ""


def stylesheet(request: HttpRequest) -> str:
    """Return the address of the desk's own styles."""
    return static("console/desk.css")


def account_stylesheet(request: HttpRequest) -> str:
    """Return the address of the styles of accounts and of the audit trail."""
    return static("console/account.css")


def record_stylesheet(request: HttpRequest) -> str:
    """Return the address of the styles of templates, WeChat's library and one person's page."""
    return static("console/records.css")


def favicon(request: HttpRequest) -> str:
    """Return the address of the tab's picture."""
    return static("console/favicon.svg")


def _entry(item: Item, request: HttpRequest) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "title": item.title,
        "icon": item.icon,
        "link": reverse(f"admin:{item.page or item.model.replace('.', '_') + '_changelist'}"),
    }
    # An empty badge would be an empty box.
    if item.model == "jobs.sendjob" and _waiting(request).exists():
        entry |= {"badge": f"{__name__}.waiting_for_approval", "badge_variant": "warning"}
    return entry


def _waiting(request: HttpRequest) -> QuerySet[SendJob]:
    return access.limit(SendJob.objects.filter(state=SendJob.State.SUBMITTED), to=request.user)


def _may_see(request: HttpRequest, model: str) -> bool:
    app, name = model.split(".")
    return request.user.has_perm(f"{app}.view_{name}") or request.user.has_perm(f"{app}.change_{name}")
