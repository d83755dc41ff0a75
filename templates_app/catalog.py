"""The templates as WeChat lists them; the only writer of their state, title, content and fields.

Nothing is ever deleted here but single fields: grants and deliveries hang on a template, and WeChat forgets faster
than an operator asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from templates_app.content import ParsedField, parse_content
from templates_app.models import MessageTemplate, MiniProgram, TemplateChange, TemplateField

Kind = MessageTemplate.Kind
State = MessageTemplate.State

# WeChat's docs, gettemplate: 2 is a one-time subscription, 3 a long-term one; no other value is documented.
_KINDS: Mapping[str, Kind] = {"2": Kind.ONE_TIME, "3": Kind.LONG_TERM}

_ID_LENGTH = MessageTemplate._meta.get_field("wechat_id").max_length or 0
_TITLE_LENGTH = MessageTemplate._meta.get_field("title").max_length
_KEY_LENGTH = TemplateField._meta.get_field("key").max_length or 0
_LABEL_LENGTH = TemplateField._meta.get_field("label").max_length
_EXAMPLE_LENGTH = TemplateField._meta.get_field("example").max_length


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row of WeChat's answer that was left alone, and why; ``wechat_id`` is empty when the row names none."""

    wechat_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What a snapshot did: numbers of templates, ``missing`` those that were in use and are gone at WeChat now."""

    added: int
    changed: int
    unchanged: int
    missing: int
    skipped: tuple[SkippedRow, ...]


def apply_snapshot(mini_program: MiniProgram, *, rows: Sequence[Mapping[str, object]], at: datetime) -> SnapshotReport:
    """Make our templates what WeChat's complete list (``data`` of gettemplate, read at ``at``) says they are.

    A template that is not in the list becomes missing, one that comes back is in use again, a banned one stays banned.
    What operators decide survives: validity, urgency, quiet hours, ``strict``, and that a long-term template is capped
    (WeChat does not tell). A row that cannot be read changes nothing, also not by its absence: while a row without an
    id is among them, no template is declared missing.
    """
    listed, skipped = _read_rows(rows)
    with transaction.atomic():
        # One snapshot at a time per mini-program, so that two of them do not add the same template.
        MiniProgram.objects.select_for_update(no_key=True).only("pk").get(pk=mini_program.pk)
        ours = MessageTemplate.objects.filter(mini_program=mini_program)
        known = {row.wechat_id: row for row in ours.select_for_update(no_key=True).prefetch_related("fields")}
        counts = Counter(
            _update(known[row.wechat_id], row=row, at=at) if row.wechat_id in known else _add(mini_program, row=row)
            for row in listed
        )
        ours.filter(wechat_id__in=[row.wechat_id for row in listed]).update(synced_at=at)
        missing = _miss(known.values(), listed=listed, skipped=skipped)
    return SnapshotReport(
        added=counts["added"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
        missing=missing,
        skipped=tuple(skipped),
    )


def mark_missing(template: MessageTemplate) -> bool:
    """Note that WeChat no longer knows a template that was in use; False when it was not in use any more."""
    return _set_state(template, to=State.MISSING, only_from=[State.LIVE])


def mark_banned(template: MessageTemplate) -> bool:
    """Note that WeChat banned a template; False when that was known."""
    return _set_state(template, to=State.BANNED, only_from=[State.LIVE, State.MISSING])


def mark_allowed(template: MessageTemplate) -> bool:
    """Note that WeChat takes a banned template again; False when it was not banned."""
    return _set_state(template, to=State.LIVE, only_from=[State.BANNED])


def _set_state(template: MessageTemplate, *, to: State, only_from: Sequence[State]) -> bool:
    return bool(MessageTemplate.objects.filter(pk=template.pk, state__in=only_from).update(state=to))


# --- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Listed:
    """One template as WeChat lists it."""

    wechat_id: str
    title: str
    kind: Kind
    content: str
    example: str
    fields: tuple[ParsedField, ...]


class _Unreadable(Exception):
    """A row that says too little or nonsense; the text is the reason."""


def _read_rows(rows: Sequence[object]) -> tuple[list[_Listed], list[SkippedRow]]:
    listed: dict[str, _Listed] = {}
    skipped: list[SkippedRow] = []
    for row in rows:
        wechat_id = ""
        try:
            if not isinstance(row, Mapping):
                raise _Unreadable(gettext("The row is not an object."))
            wechat_id = "".join(_text(row.get("priTmplId")).split())
            if wechat_id in listed:
                raise _Unreadable(gettext("The same template is listed twice; the first one counts."))
            listed[wechat_id] = _read_row(row, wechat_id=wechat_id)
        except _Unreadable as error:
            skipped.append(SkippedRow(wechat_id=wechat_id, reason=str(error)))
    return list(listed.values()), skipped


def _read_row(row: Mapping[str, object], *, wechat_id: str) -> _Listed:
    if not wechat_id:
        raise _Unreadable(gettext("The row has no template id (priTmplId)."))
    if len(wechat_id) > _ID_LENGTH:
        raise _Unreadable(gettext("The template id is too long to be one."))
    kind = _KINDS.get(str(row.get("type")))
    if kind is None:
        raise _Unreadable(
            gettext("Its type %(type)r is neither 2 (one-time) nor 3 (long-term).") % {"type": row.get("type")}
        )
    content, example = _text(row.get("content")), _text(row.get("example"))
    fields = tuple(parse_content(content=content, example=example, enums=_enums(row)))
    if any(len(parsed.key) > _KEY_LENGTH for parsed in fields):
        raise _Unreadable(gettext("A field's key is too long to be one."))
    title = _text(row.get("title")).strip() or wechat_id
    return _Listed(
        wechat_id=wechat_id,
        title=title[:_TITLE_LENGTH],
        # WeChat's docs: service cards (tid 10000001 and up) have no keywords and are never sent by subscribe/send.
        kind=kind if fields else Kind.SERVICE_CARD,
        content=content,
        example=example,
        fields=fields,
    )


def _text(value: object) -> str:
    """Return a text the database can hold; anything but text is empty."""
    return value.replace("\0", "").encode("utf-8", "ignore").decode() if isinstance(value, str) else ""


def _enums(row: Mapping[str, object]) -> list[Mapping[str, object]]:
    entries = row.get("keywordEnumValueList")
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


# --- writing -------------------------------------------------------------------------------------------------------


def _add(mini_program: MiniProgram, *, row: _Listed) -> str:
    template = MessageTemplate.objects.create(
        mini_program=mini_program,
        wechat_id=row.wechat_id,
        title=row.title,
        kind=row.kind,
        content=row.content,
        example=row.example,
    )
    _write_fields(template, fields=row.fields)
    return "added"


def _update(template: MessageTemplate, *, row: _Listed, at: datetime) -> str:
    wanted: dict[str, Any] = {"title": row.title, "content": row.content, "example": row.example, "kind": row.kind}
    if template.kind == Kind.LONG_TERM_CAPPED and row.kind == Kind.LONG_TERM:
        del wanted["kind"]
    if template.state == State.MISSING:
        wanted["state"] = State.LIVE
    changes = {name: value for name, value in wanted.items() if getattr(template, name) != value}
    if changes:
        MessageTemplate.objects.filter(pk=template.pk).update(**changes)
    _note_change(template, row=row, at=at)
    return "changed" if _write_fields(template, fields=row.fields) or changes else "unchanged"


def _note_change(template: MessageTemplate, *, row: _Listed, at: datetime) -> None:
    """Keep the old keywords beside the new ones, where a person would see a difference."""
    before = [_keyword(field.key, field.label, field.example, field.choices) for field in template.fields.all()]
    after = [_keyword(one.key, one.label, one.example, one.choices) for one in row.fields]
    if before == after and template.title == row.title:
        return

    def words(keywords: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        return [(each["key"], each["label"], each["choices"]) for each in keywords]

    TemplateChange.objects.create(
        template=template,
        at=at,
        title_before=template.title,
        before=before,
        after=after,
        breaks_words=words(before) != words(after),
    )


def _keyword(key: str, label: str, example: str, choices: Iterable[str]) -> dict[str, Any]:
    return {
        "key": key,
        "label": label[:_LABEL_LENGTH],
        "example": example[:_EXAMPLE_LENGTH],
        "choices": [_text(choice) for choice in choices],
    }


def _write_fields(template: MessageTemplate, *, fields: Sequence[ParsedField]) -> bool:
    """Make the template's fields these, keeping the operator's ``strict``; return whether anything was different."""
    known = {row.key: row for row in template.fields.all()}
    gone = known.keys() - {parsed.key for parsed in fields}
    if gone:
        template.fields.filter(key__in=gone).delete()
    written = 0
    for position, parsed in enumerate(fields, start=1):
        wanted = {
            "position": position,
            "label": parsed.label[:_LABEL_LENGTH],
            "example": parsed.example[:_EXAMPLE_LENGTH],
            "choices": [_text(choice) for choice in parsed.choices],
        }
        row = known.get(parsed.key)
        if row is None or any(getattr(row, name) != value for name, value in wanted.items()):
            TemplateField.objects.update_or_create(template_id=template.pk, key=parsed.key, defaults=wanted)
            written += 1
    return bool(gone or written)


def _miss(known: Iterable[MessageTemplate], *, listed: Sequence[_Listed], skipped: Sequence[SkippedRow]) -> int:
    if any(not row.wechat_id for row in skipped):
        return 0
    seen = {row.wechat_id for row in listed} | {row.wechat_id for row in skipped}
    return sum(mark_missing(template) for template in known if template.wechat_id not in seen)
