"""What one row of existing consent must look like, wherever it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from templates_app.models import MessageTemplate, MiniProgram

OPENID = re.compile(r"[A-Za-z0-9_-]{10,64}")
MAX_UNITS = 100
# WeChat had no subscription messages before; a year typed wrong must not become a consent of the year 1.
FIRST_DAY = date(2019, 9, 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One good row; ``number`` is where it stands: the line of a file, the index of a list."""

    number: int
    openid: str
    template: MessageTemplate
    units: int
    granted_at: datetime


class BadCell(ValueError):
    """One cell of a row is wrong: its column, and a sentence."""

    def __init__(self, column: str, sentence: str) -> None:
        super().__init__(sentence)
        self.column = column


class RowChecks:
    """Turns cells of text into rows of one mini-program; an empty count is 1, an empty date is now."""

    def __init__(self, mini_program: MiniProgram) -> None:
        self.zone = mini_program.zone
        self.now = timezone.now()
        self.templates = {template.wechat_id: template for template in mini_program.templates.all()}

    def row(self, number: int, *, openid: str, template_id: str, count: str, granted_at: str) -> Row:
        """Return the row. Raises ``BadCell`` for the first cell that is wrong."""
        if not OPENID.fullmatch(openid):
            raise BadCell("openid", _("that is not an openid"))
        template = self.templates.get(template_id)
        if template is None:
            sentence = _("this mini-program has no template “%(id)s”") % {"id": template_id[:64]}
            raise BadCell("template_id", sentence)
        return Row(
            number=number,
            openid=openid,
            template=template,
            units=_units(count),
            granted_at=self._moment(granted_at),
        )

    def _moment(self, text: str) -> datetime:
        if not text:
            return self.now
        moment = _parsed(text)
        if moment is None:
            raise BadCell("granted_at", _("the date must look like 2026-11-23 or 2026-11-23 14:05"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
        if moment > self.now + timedelta(minutes=5):
            raise BadCell("granted_at", _("the date lies in the future"))
        if moment.date() < FIRST_DAY:
            sentence = _("there were no subscription messages before %(day)s") % {"day": FIRST_DAY}
            raise BadCell("granted_at", sentence)
        return moment


def _units(text: str) -> int:
    if not text:
        return 1
    if not (len(text) <= len(str(MAX_UNITS)) and text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_UNITS):
        raise BadCell("count", _("the count must be a number from 1 to %(most)d") % {"most": MAX_UNITS})
    return int(text)


def _parsed(text: str) -> datetime | None:
    try:
        day = parse_date(text)
        return datetime.combine(day, time()) if day else parse_datetime(text)
    except ValueError:
        return None  # the right shape, but no such day
