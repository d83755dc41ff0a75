"""What a form changed: each field with what stood there before and what stands there now, for the audit trail.

A value is written as a person reads it, short, and never when it is a secret. Of a choice of many only what was taken
out and what was put in is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.utils import formats, timezone

# Written instead of a secret; whether there is one at all is told.
HIDDEN = "••••"
_LONGEST = 300
# The login in an address that was kept before it was refused.
_LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
_SECRET_WORDS = ("secret", "password", "token", "aes_key")

Before = Any
After = Any
Changes = dict[str, tuple[Before, After]]


def of_forms(form: forms.BaseForm, formsets: Iterable[Any] | None) -> dict[str, Any]:
    """Return the changes of a page: its own fields, and those of the parts below it."""
    told: dict[str, Any] = {}
    if own := of_form(form):
        told["changes"] = own
    parts = [part for formset in formsets or () for part in _of_parts(formset)]
    return told | ({"parts": parts} if parts else {})


def of_form(form: forms.BaseForm) -> Changes:
    """Return the changed fields that a person could see."""
    return {name: _pair(form, name) for name in form.changed_data if not _is_hidden(form, name)}


def _of_parts(formset: Any) -> Iterable[Mapping[str, Any]]:
    changed = {id(row) for row, _names in formset.changed_objects} | {id(row) for row in formset.new_objects}
    for form in formset.forms:
        if id(form.instance) in changed and (told := of_form(form)):
            yield {"part": str(form.instance)[:_LONGEST], "changes": told}
    for row in formset.deleted_objects:
        yield {"part": str(row)[:_LONGEST], "deleted": True}


def without_login(address: str) -> str:
    """Return an address as it may be read: the user name and password in it hidden."""
    return _LOGIN.sub(f"{HIDDEN}@", address)


def _is_hidden(form: forms.BaseForm, name: str) -> bool:
    return name in form.fields and form.fields[name].widget.is_hidden


def _pair(form: forms.BaseForm, name: str) -> tuple[Before, After]:
    field = form.fields.get(name)
    before, after = form.get_initial_for_field(field, name) if field else None, form.cleaned_data.get(name)
    if _is_secret(field, name):
        return (HIDDEN, HIDDEN)
    if isinstance(field, forms.ModelMultipleChoiceField):
        was, now = _names(field, before), _names(field, after)
        return ([each for each in was if each not in now], [each for each in now if each not in was])
    return (_told(field, before), _told(field, after))


def _is_secret(field: forms.Field | None, name: str) -> bool:
    return field is None or isinstance(field.widget, forms.PasswordInput) or any(w in name for w in _SECRET_WORDS)


def _names(field: Any, chosen: Any) -> list[str]:
    rows = chosen if isinstance(chosen, QuerySet) else field.queryset.filter(pk__in=_keys(chosen))
    return sorted(field.label_from_instance(row) for row in rows)


def _keys(chosen: Any) -> list[Any]:
    return [each.pk if isinstance(each, Model) else each for each in chosen or ()]


def _told(field: Any, value: Any) -> Any:
    """Return a value as the trail keeps it: something JSON knows."""
    if isinstance(field, forms.ModelChoiceField) and field.queryset is not None:
        row = value if isinstance(value, Model) else field.queryset.filter(pk=value).first()
        return field.label_from_instance(row)[:_LONGEST] if row else None
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return formats.date_format(timezone.localtime(value) if timezone.is_aware(value) else value, "Y-m-d H:i")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple | set):
        return [str(each)[:_LONGEST] for each in value]
    return without_login(str(value))[:_LONGEST]
