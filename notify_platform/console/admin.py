"""Where Django looks for admin classes: the desk's, after those of apps whose models it replaces or hides."""

from __future__ import annotations

import django_q.admin
from django.contrib import admin
from django_q.models import Failure, OrmQ, Schedule, Success

from notify_platform.console.desk import (
    accounts,
    alerts,
    api_keys,
    asking,
    audiences,
    callbacks,
    consent,
    deliveries,
    jobs,
    machines,
    people,
    series,
    templates,
    triggers,
)

__all__ = [
    "accounts",
    "alerts",
    "api_keys",
    "asking",
    "audiences",
    "callbacks",
    "consent",
    "deliveries",
    "django_q",
    "jobs",
    "machines",
    "people",
    "series",
    "templates",
    "triggers",
]

# django-q2's own pages let whoever sees them run any function by its dotted name.
for model in (Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
