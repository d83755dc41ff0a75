"""An entry of the audit trail in words: what it was about, and each field with its name, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext

from notify_platform.console.desk.callbacks import masked
from notify_platform.console.desk.lists import number_of
from notify_platform.core.models import AuditEvent

# What the trail calls a kind of row, where that is not its model's name.
_MODELS = {"job": "sendjob", "api key": "apikey"}
_FIELDS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One field: its name, and the value before and after."""

    name: str
    before: str
    after: str


def link_to(subject: str) -> SafeString | str:
    """Return a subject in words, as a link to its page where there is one."""
    kind, _space, number = subject.rpartition(" ")
    model = _model_of(kind)
    if model is None:
        return {"login": gettext("log-in"), "retention": gettext("retention")}.get(subject, subject)
    words = f"{capfirst(str(model._meta.verbose_name))} {number}"
    if number_of(number) is None:
        return words
    url = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_change", args=[number])
    return format_html('<a class="desk-link" href="{}">{}</a>', url, words)


def in_short(row: AuditEvent) -> str:
    """Return the names of the changed fields, or the few words the entry holds."""
    names = [line.name for line in lines_of(row)]
    if names:
        more = "…" if len(names) > _FIELDS_SHOWN else ""
        return "、".join(names[:_FIELDS_SHOWN]) + more
    detail = _detail(row)
    return " · ".join(str(detail[key]) for key in ("username", "ip", "name") if detail.get(key))


def lines_of(row: AuditEvent) -> Sequence[Line]:
    """Return every changed field, those of the parts after the row's own."""
    detail = _detail(row)
    model = _model_of(row.subject.rpartition(" ")[0])
    lines = list(_lines(detail.get("changes"), model))
    for part in detail.get("parts") or ():
        title = str(part.get("part", ""))
        lines += [Line(f"{title} · {each.name}", each.before, each.after) for each in _lines(part.get("changes"), None)]
        if part.get("deleted"):
            lines.append(Line(title, title, gettext("deleted")))
    return lines


def _detail(row: AuditEvent) -> dict[str, Any]:
    detail = masked(row.detail)
    return detail if isinstance(detail, dict) else {}


def _lines(changes: Any, model: type[Model] | None) -> Iterator[Line]:
    if not isinstance(changes, dict):
        return
    # No database keeps the order of an object; that of the form is nearly the model's.
    order = {field.name: place for place, field in enumerate(model._meta.get_fields())} if model else {}
    for name, pair in sorted(changes.items(), key=lambda each: order.get(each[0], len(order))):
        field = _field(model, name)
        before, after = pair if isinstance(pair, list) and len(pair) == 2 else (None, pair)
        yield Line(_title(field, name), _value(field, before), _value(field, after))


def _model_of(kind: str) -> type[Model] | None:
    name = _MODELS.get(kind, kind)
    return next((model for model in admin.site._registry if model._meta.model_name == name), None)


def _field(model: type[Model] | None, name: str) -> Field[Any, Any] | None:
    try:
        found = model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None
    return found if isinstance(found, Field) else None


def _title(field: Field[Any, Any] | None, name: str) -> str:
    names = {"mini_programs": gettext("mini-programs"), "password": gettext("password")}
    return capfirst(str(field.verbose_name)) if field else names.get(name, name.removeprefix("text_"))


def _value(field: Field[Any, Any] | None, value: Any) -> str:
    if value is None or value in ("", []):
        return "—"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return "、".join(map(str, value))
    return str(dict(field.flatchoices).get(value, value)) if field and field.choices else str(value)
