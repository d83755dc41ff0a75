"""The address WeChat is told: one for each mini-program."""

from __future__ import annotations

from django.urls import path

from notify_platform.callbacks.views import CallbackView

urlpatterns = [path("<str:app_id>", CallbackView.as_view(), name="wechat-callback")]
