"""The addresses of the API, version 1. Whatever else is asked for below ``/api/`` gets the same kind of error."""

from __future__ import annotations

from django.urls import include, path, re_path

from notify_platform.api.base import NowhereView
from notify_platform.api.consent_views import AuthorizationsView, PromptsView, SubscriptionsView
from notify_platform.api.document_views import DocsView, SchemaView
from notify_platform.api.event_views import DeliveryView, EventsView, EventView
from notify_platform.api.import_views import ConsentsView, SubscribersView
from notify_platform.api.preference_views import PreferencesView, ProfileView, WechatSettingsView
from notify_platform.api.response_views import ConversionsView, FeedbackView
from notify_platform.api.session_views import SessionsView
from notify_platform.api.visit_views import OpensView, VisitsView

version_1 = [
    path("sessions", SessionsView.as_view(), name="api-sessions"),
    path("prompts", PromptsView.as_view(), name="api-prompts"),
    path("authorizations", AuthorizationsView.as_view(), name="api-authorizations"),
    path("subscriptions", SubscriptionsView.as_view(), name="api-subscriptions"),
    path("wechat-settings", WechatSettingsView.as_view(), name="api-wechat-settings"),
    path("preferences", PreferencesView.as_view(), name="api-preferences"),
    path("profile", ProfileView.as_view(), name="api-profile"),
    path("opens", OpensView.as_view(), name="api-opens"),
    path("visits", VisitsView.as_view(), name="api-visits"),
    path("conversions", ConversionsView.as_view(), name="api-conversions"),
    path("feedback", FeedbackView.as_view(), name="api-feedback"),
    path("events", EventsView.as_view(), name="api-events"),
    path("events/<str:app_id>/<str:event>/<str:event_id>", EventView.as_view(), name="api-event"),
    path("deliveries/<int:id>", DeliveryView.as_view(), name="api-delivery"),
    path("subscribers", SubscribersView.as_view(), name="api-subscribers"),
    path("consents", ConsentsView.as_view(), name="api-consents"),
    path("schema", SchemaView.as_view(), name="api-schema"),
    path("docs", DocsView.as_view(), name="api-docs"),
]

urlpatterns = [path("v1/", include(version_1)), re_path("", NowhereView.as_view(), name="api-nowhere")]
