"""What a job says at one moment: kept when it is handed over, so that later changes can be seen.

A version holds all an approver agrees to: the words, the template as it was, whom the audience means, the times.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django.db.models import Count, Max

from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob, Series
from subscriptions.models import Audience, AudienceMember

# Older ones are dropped: a job that goes back and forth so often has been read before.
KEPT = 10
ORDER = ("name", "purpose", "template", "fields", "audience", "words", "fit", "times", "repeat", "pace")
Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that changed: its path in the content, what stood there, and what stands there now."""

    path: tuple[str, ...]
    before: str
    after: str


def content_of(job: SendJob) -> Content:
    """Return what a job says now, as JSON keeps it; three queries and the template's fields."""
    audience, template = Audience.objects.get(pk=job.audience_id), job.template
    words = variants.of_job(job)
    return {
        "name": job.name,
        "purpose": job.purpose,
        "template": {"title": template.title, "kind": template.kind, "state": template.state},
        "fields": {
            row.key: [row.label, "、".join(map(str, row.choices)), "" if row.strict else "~"]
            for row in template.fields.all()
        },
        "audience": {"name": audience.name, **_people(audience)},
        "words": {each.name: {**each.texts, "page": each.page} for each in words},
        "fit": {each.name: "、".join(sorted(each.fit_keys)) for each in words},
        "times": {
            name: _moment(getattr(job, name)) for name in ("starts_at", "not_after", "window_from", "window_until")
        },
        "pace": str(job.pace_per_second or ""),
        **({"repeat": _schedule(job.series)} if job.is_pattern and job.series else {}),
    }


def _schedule(series: Series) -> Content:
    return {
        "weekdays": "、".join(map(str, series.weekdays)),
        "at_time": _moment(series.at_time),
        "starts_on": series.starts_on.isoformat(),
        "ends_on": series.ends_on.isoformat() if series.ends_on else "",
        "within_hours": series.within_hours,
    }


def _people(audience: Audience) -> Content:
    if audience.kind == Audience.Kind.RULE:
        return {"rule": audience.rule}
    listed = AudienceMember.objects.filter(audience=audience).aggregate(people=Count("pk"), newest=Max("pk"))
    return {"people": listed["people"], "newest": listed["newest"] or 0}


def _moment(value: datetime | time | None) -> str:
    return value.isoformat(timespec="minutes") if value else ""


def digest(content: Mapping[str, Any]) -> str:
    """Return a fingerprint of a content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


def submitted(job: SendJob) -> Content | None:
    """Return the content the job was handed over with last."""
    return job.versions[-1]["content"] if job.versions else None


def before(job: SendJob) -> Mapping[str, Any] | None:
    """Return the version to compare the last one with: the last that was approved, else the one before."""
    earlier: Sequence[Mapping[str, Any]] = job.versions[:-1]
    approved = [version for version in earlier if version["is_approved"]]
    return (approved or earlier)[-1] if earlier else None


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two contents, in the order of the page."""
    was, now = _flat(old), _flat(new)
    changed = [path for path in was.keys() | now.keys() if was.get(path, "") != now.get(path, "")]
    return [Difference(path, was.get(path, ""), now.get(path, "")) for path in sorted(changed, key=_place)]


def _place(path: tuple[str, ...]) -> tuple[int, bool, tuple[str, ...]]:
    """Return where a difference is told: PostgreSQL keeps JSON in an order of its own."""
    return ORDER.index(path[0]), path[-1] == "page", path


def _flat(content: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    flat: dict[tuple[str, ...], str] = {}
    for name, value in content.items():
        if isinstance(value, Mapping) and (*path, name) != ("audience", "rule"):
            flat |= _flat(value, (*path, name))
        elif isinstance(value, str | int):
            flat[*path, name] = str(value)
        else:
            flat[*path, name] = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return flat
