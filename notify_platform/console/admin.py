"""Where Django looks for admin classes: the desk's, after those of apps whose models it replaces or hides."""

from __future__ import annotations

import django_q.admin
from django.contrib import admin
from django_otp.plugins.otp_static import admin as otp_static
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp import admin as otp_totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_q.models import Failure, OrmQ, Schedule, Success

from notify_platform.console.desk import (
    accounts,
    alerts,
    api_keys,
    asking,
    audiences,
    audits,
    callbacks,
    consent,
    deliveries,
    door,
    machines,
    people,
    templates,
    triggers,
)
from notify_platform.console.desk.jobs import page as job_page
from notify_platform.console.desk.jobs import series

__all__ = [
    "accounts",
    "alerts",
    "api_keys",
    "asking",
    "audiences",
    "audits",
    "callbacks",
    "consent",
    "deliveries",
    "django_q",
    "door",
    "job_page",
    "machines",
    "otp_static",
    "otp_totp",
    "people",
    "series",
    "templates",
    "triggers",
]

# What stands for a value that is not there, on every page.
admin.site.empty_value_display = "—"

# django-q2's own pages let whoever sees them run any function by its dotted name; django-otp's show keys.
for model in (Schedule, Success, Failure, OrmQ, StaticDevice, TOTPDevice):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
