"""Addresses; the rooms are named as strings."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("notify_platform.console.urls")),
    path("api/", include("notify_platform.api.urls")),
    path("wechat/callback/", include("notify_platform.callbacks.urls")),
]
