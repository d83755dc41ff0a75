"""Exports: the rows of a list as a file, for those who may, and never without a line in the audit trail."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from notify_platform.console import access
from notify_platform.core import history
from notify_platform.core.clock import zone_of
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from notify_platform.core.spreadsheets import XLSX_ROWS, csv_lines, xlsx_file
from notify_platform.insights.exports import SHEETS, Reading
from templates_app.models import MiniProgram

CSV, XLSX = "csv", "xlsx"
# Whoever may change people sees their openids; to the others a file shows what the pages show.
SEES_OPENIDS = "subscriptions.change_subscriber"


def may_export(request: HttpRequest, model: Any) -> bool:
    """Whether there is a file of this list, and this colleague may have it."""
    app, name = model._meta.label_lower.split(".")
    return model._meta.label_lower in SHEETS and request.user.has_perm(f"{app}.export_{name}")


def answer(
    request: HttpRequest, rows: QuerySet[Any], *, kind: str, subject: str, query: str, zone: ZoneInfo
) -> HttpResponseBase:
    """Return the file and write the audit line. Raises ``Refused`` for more rows than a file may hold."""
    sheet = SHEETS[kind]
    form = XLSX if request.POST.get("format") == XLSX else CSV
    number = _counted(rows, form=form)
    reading = Reading(zone=zone, shows_openids=request.user.has_perm(SEES_OPENIDS))
    audit(
        request.user if request.user.is_authenticated else None,
        action="export_rows",
        subject=subject,
        rows=number,
        format=form,
        filter=query[:400],
        openids="whole" if reading.shows_openids else "masked",
    )
    cells = sheet.rows(rows, reading, most=number)
    name = f"{sheet.title}_{timezone.localtime(timezone=zone):%Y%m%d_%H%M}.{form}"
    if form == CSV:
        return _named(
            StreamingHttpResponse(csv_lines(sheet.headings, cells), content_type="text/csv; charset=utf-8"), name
        )
    return FileResponse(xlsx_file(sheet.headings, cells, title=str(sheet.title)), as_attachment=True, filename=name)


def _counted(rows: QuerySet[Any], *, form: str) -> int:
    most = settings.EXPORT_MAX_ROWS
    if form == XLSX:
        most = min(most, XLSX_ROWS)
    (number,) = history.capped_counts([rows], cap=most + 1)
    if number > most:
        sentence = (
            _("An Excel sheet holds %(most)s rows. Choose fewer days or a tab, or export as CSV.")
            if most == XLSX_ROWS
            else _("A file holds at most %(most)s rows. Choose fewer days or a tab.")
        )
        raise Refused(sentence % {"most": f"{most:,}"}, code="too_many_rows")
    return number


def _named(file: StreamingHttpResponse, name: str) -> StreamingHttpResponse:
    file["Content-Disposition"] = content_disposition_header(True, name) or ""
    # Nobody in between keeps the lines until there are enough of them.
    file["X-Accel-Buffering"] = "no"
    return file


def zone_for(request: HttpRequest) -> ZoneInfo:
    """Return the zone of the only mini-program somebody works with; with several, the desk's own."""
    zones = access.limit(MiniProgram.objects.order_by("pk"), to=request.user).values_list("time_zone", flat=True)[:2]
    found = list(zones)
    return zone_of(*(found if len(found) == 1 else ()))
