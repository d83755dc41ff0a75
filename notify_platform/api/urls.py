"""The addresses of the API, version 1. Whatever else is asked for below ``/api/`` gets the same kind of error."""

from __future__ import annotations

from django.urls import include, path, re_path

from notify_platform.api.base import NowhereView
from notify_platform.api.consent_views import AuthorizationsView, PromptsView, SubscriptionsView
from notify_platform.api.document_views import DocsView, SchemaView
from notify_platform.api.session_views import SessionsView
from notify_platform.api.visit_views import OpensView, VisitsView

version_1 = [
    path("sessions", SessionsView.as_view(), name="api-sessions"),
    path("prompts", PromptsView.as_view(), name="api-prompts"),
    path("authorizations", AuthorizationsView.as_view(), name="api-authorizations"),
    path("subscriptions", SubscriptionsView.as_view(), name="api-subscriptions"),
    path("opens", OpensView.as_view(), name="api-opens"),
    path("visits", VisitsView.as_view(), name="api-visits"),
    path("schema", SchemaView.as_view(), name="api-schema"),
    path("docs", DocsView.as_view(), name="api-docs"),
]

urlpatterns = [path("v1/", include(version_1)), re_path("", NowhereView.as_view(), name="api-nowhere")]
