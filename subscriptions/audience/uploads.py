"""From an uploaded file to a list of people: checked a batch at a time, and saved with exactly what was good."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, TYPE_CHECKING

from django.db import transaction
from django.db.models import BigIntegerField, TextChoices, Value
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notify_platform.core.bulk import Among, insert_from_select
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from subscriptions.audience.files import FORMULA, Line, read
from subscriptions.audience.models import Audience, AudienceMember
from subscriptions.grants.import_checks import OPENID
from subscriptions.people.models import Subscriber
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

BATCH = 2_000
# Written by one statement.
INSERTED = 50_000
# More wrong lines than these are counted, not shown.
SHOWN = 100


class Wrong(TextChoices):
    """Why a line is left out."""

    NO_OPENID = "no_openid", gettext_lazy("this is no openid")
    FORMULA = "formula", gettext_lazy("this is a formula; put the value itself there")
    UNKNOWN = "unknown", gettext_lazy("nobody of this mini-program has this openid")
    DOUBLED = "doubled", gettext_lazy("stands further up already")


@dataclass(frozen=True, slots=True)
class WrongLine:
    """One line that is left out."""

    number: int
    text: str
    why: Wrong


@dataclass(slots=True)
class Report:
    """What a file holds."""

    lines: int = 0
    good: int = 0
    wrong: Counter[Wrong] = field(default_factory=Counter)
    shown: list[WrongLine] = field(default_factory=list)

    @property
    def left_out(self) -> int:
        """How many lines are left out."""
        return self.wrong.total()


class _Checks:
    """Sorts the lines of one file; of the people seen it keeps one bit each."""

    def __init__(self, mini_program: MiniProgram) -> None:
        self.mini_program = mini_program
        self.report = Report()
        self.seen = bytearray()

    def people(self, lines: Sequence[Line]) -> list[int]:
        """Return the people of a batch of lines that were not met before."""
        wanted = {line.text for line in lines if OPENID.fullmatch(line.text)}
        rows = Subscriber.objects.filter(
            mini_program=self.mini_program, openid__in=wanted, forgotten_at__isnull=True
        ).values_list("openid", "pk")
        known = dict(rows)
        good = []
        for line in lines:
            self.report.lines += 1
            why = self._wrong(line, known.get(line.text))
            if why is None:
                good.append(known[line.text])
            else:
                self._leave_out(line, why)
        self.report.good += len(good)
        return good

    def _wrong(self, line: Line, person: int | None) -> Wrong | None:
        if line.text.startswith(FORMULA):
            return Wrong.FORMULA
        if not OPENID.fullmatch(line.text):
            return Wrong.NO_OPENID
        if person is None:
            return Wrong.UNKNOWN
        return None if self._is_new(person) else Wrong.DOUBLED

    def _is_new(self, person: int) -> bool:
        place, bit = divmod(person, 8)
        if place >= len(self.seen):
            self.seen.extend(bytes(place + 1 - len(self.seen)))
        if self.seen[place] & (1 << bit):
            return False
        self.seen[place] |= 1 << bit
        return True

    def _leave_out(self, line: Line, why: Wrong) -> None:
        self.report.wrong[why] += 1
        if len(self.report.shown) < SHOWN:
            self.report.shown.append(WrongLine(line.number, line.text[:40], why))


def check(file: IO[bytes], *, name: str, size: int, mini_program: MiniProgram) -> Report:
    """Return what is good and what is wrong in a file; nothing is saved. Raises ``Refused`` for what is no list."""
    checks = _Checks(mini_program)
    for batch in _batches(read(file, name=name, size=size)):
        checks.people(batch)
    return checks.report


def keep(
    file: IO[bytes], *, name: str, size: int, mini_program: MiniProgram, called: str, by: AbstractBaseUser | None
) -> tuple[Audience, Report]:
    """Save the good lines of a file as an audience. Raises ``Refused``; nothing is saved then."""
    called = " ".join(called.split())
    if not called or len(called) > 60:
        raise _at("name", _("Give the audience a name of at most 60 characters."))
    _refuse_a_taken_name(mini_program, called)
    # Read to its end before anything is written: SQLite has one writer, and whoever sends would wait for a large file.
    checks, people = _Checks(mini_program), array("q")
    for batch in _batches(read(file, name=name, size=size)):
        people.extend(checks.people(batch))
    if not people:
        raise _at("file", _("Nobody of this mini-program stands in the file, so nothing was saved."))
    report = checks.report
    with transaction.atomic():
        _refuse_a_taken_name(mini_program, called)
        audience = Audience.objects.create(mini_program=mini_program, name=called, kind=Audience.Kind.LIST)
        _fill(audience, people)
        audit(
            by,
            action="upload_list",
            subject=f"audience {audience.pk}",
            mini_program=mini_program.pk,
            file=name[:80],
            people=report.good,
            left_out=report.left_out,
        )
    return audience, report


def _refuse_a_taken_name(mini_program: MiniProgram, called: str) -> None:
    if Audience.objects.filter(mini_program=mini_program, name=called).exists():
        raise _at("name", _("There is an audience of this name already."))


def _fill(audience: Audience, people: Sequence[int]) -> None:
    for first in range(0, len(people), INSERTED):
        rows = Subscriber.objects.filter(Among("pk", people[first : first + INSERTED]))
        members = rows.annotate(audience_id=Value(audience.pk, BigIntegerField())).values_list("audience_id", "pk")
        insert_from_select(AudienceMember, columns=["audience", "subscriber"], rows=members)


def _at(place: str, sentence: str) -> Refused:
    return Refused(sentence, code="invalid", fields={place: sentence})


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, BATCH)):
        yield batch
