"""A long history in a few statements: INSERT … SELECT over a series of numbers, on PostgreSQL and on SQLite.

Rows are written as a quiet installation would have left them: keys grow with time over ninety days, most messages
arrived, some were refused, a few of every kind are left over. Nothing of it was ever sent, so the books do not add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.apps import apps
from django.contrib.auth.models import User
from django.core.management.color import no_style
from django.db import connection, transaction
from django.utils import timezone

from notify_platform.jobs.models import SendJob
from subscriptions.models import Scene, Subscriber
from templates_app.models import MessageTemplate, MiniProgram

DAYS = 90
BATCH = 500_000
# One person for five messages: five jobs that reached everybody.
PER_PERSON = 5

_STATES = (
    "CASE WHEN n % 10000 = 1 THEN 'unknown' WHEN n % 100 < 2 THEN 'failed' WHEN n % 100 < 4 THEN 'skipped' "
    "WHEN n % 100 = 4 THEN 'undelivered' WHEN n % 1000 = 5 THEN 'waiting' WHEN n % 100 < 20 THEN 'accepted' "
    "ELSE 'delivered' END"
)
_CODES = "CASE WHEN n % 100 < 2 AND n % 10000 <> 1 THEN CASE WHEN n % 700 = 0 THEN 47003 ELSE 43101 END END"
_WHY = "CASE WHEN n % 3000 = 2 THEN 'muted' WHEN n % 3 = 0 THEN 'cap' ELSE 'no_consent' END"
_GRANTS = (
    "CASE WHEN n % 1000 = 1 THEN 'revoked' WHEN n % 10 < 6 THEN 'spent' WHEN n % 10 < 8 THEN 'lapsed' "
    "ELSE 'available' END"
)


@dataclass
class History:
    """What the rows are about, and how many there are of each kind."""

    program: MiniProgram
    template: MessageTemplate
    jobs: Sequence[SendJob]
    scene: Scene
    user: User
    rows: int = 0
    total: int = 0

    def a_person(self) -> str:
        """The openid of somebody with messages."""
        return Subscriber.objects.order_by("pk").values_list("openid", flat=True)[0]

    def a_day(self) -> str:
        """A day in the middle of the history."""
        return str(timezone.localdate() - timedelta(days=DAYS // 2))

    def grow(self, *, to: int) -> None:
        """Write rows of every kind until there are so many; the days are spread over all of them anew."""
        self._wipe()
        self.total = to
        for first in range(1, to + 1, BATCH):
            self._write(first, min(first + BATCH - 1, to))
        models = [apps.get_model(label) for label in self._columns()]
        with connection.cursor() as cursor:
            # What the platform itself writes goes on after the last key.
            for statement in connection.ops.sequence_reset_sql(no_style(), models):
                cursor.execute(statement)
        look_again()

    def _write(self, first: int, last: int) -> None:
        for label, columns in self._columns().items():
            upto = last // PER_PERSON if label == "subscriptions.Subscriber" else last
            since = (first - 1) // PER_PERSON + 1 if label == "subscriptions.Subscriber" else first
            insert(label, columns, first=since, last=upto)

    def _wipe(self) -> None:
        with connection.cursor() as cursor:
            for label in reversed(self._columns()):
                table = apps.get_model(label)._meta.db_table
                if connection.vendor == "postgresql":
                    cursor.execute(f"TRUNCATE {table} RESTART IDENTITY CASCADE")
                else:
                    cursor.execute("PRAGMA foreign_keys = OFF")
                    cursor.execute(f"DELETE FROM {table}")  # noqa: S608

    def _columns(self) -> Mapping[str, Mapping[str, str]]:
        """Table → column → what it holds for the number n."""
        at = moment(f"(n - {self.total}) * {DAYS * 86_400.0} / {self.total}")
        people = max(self.total // PER_PERSON, 1)
        person, no = f"(n - 1) % {people} + 1", false()
        job = f"{self.jobs[0].pk} + (n - 1) / {people} % {len(self.jobs)}"
        variant = f"{self.jobs[0].variants.get().pk} + (n - 1) / {people} % {len(self.jobs)}"
        template = str(self.template.pk)
        of_message = {"delivery_id": "n", "subscriber_id": person, "at": at}
        return {
            "subscriptions.Subscriber": {
                "id": "n", "mini_program_id": str(self.program.pk), "openid": padded(), "nickname": "'小明'",
                "region": "CASE WHEN n % 3 = 0 THEN '广东' ELSE '浙江' END", "city": "'深圳'", "time_zone": "''",
                "tags": "'[]'", "interests": "'[]'", "session_version": "1", "created_at": at, "last_visit_at": at,
            },
            "subscriptions.Subscription": {
                "id": "n", "subscriber_id": person,
                "template_id": f"{self.template.pk} + (n - 1) / {people} % {len(self.jobs)}", "changed_at": at,
                "state": "CASE WHEN n % 5 = 0 THEN 'off' WHEN n % 5000 = 1 THEN 'banned' ELSE 'on' END",
                "always_keep": "''",
            },
            "subscriptions.Answer": {
                "id": "n", "subscriber_id": person, "template_id": template, "answer": "'accept'",
                "scene_id": str(self.scene.pk), "source": "CASE WHEN n % 4 = 0 THEN 'callback' ELSE 'client' END",
                "units": "1", "is_silent": no, "request_key": _text("n"), "answered_at": at, "received_at": at,
            },
            "subscriptions.Grant": {
                "id": "n", "subscriber_id": person, "template_id": template, "answer_id": "n", "state": _GRANTS,
                "granted_at": at, "expires_at": at,
                "revoked_by": "CASE WHEN n % 1000 = 1 THEN 'person' ELSE '' END",
                "settled_at": f"CASE WHEN n % 10 < 8 OR n % 1000 = 1 THEN {at} END",
            },
            "delivery.Delivery": {
                "id": "n", "mini_program_id": str(self.program.pk), "job_id": job, "variant_id": variant,
                "template_id": template, "subscriber_id": person, "is_counted": no, "state": _STATES,
                "reason": f"CASE WHEN n % 100 IN (2, 3) THEN {_WHY} ELSE '' END", "due_at": at, "created_at": at,
                "armed_at": at, "settled_at": at, "attempts": "1", "error_code": _CODES,
                "msgid": f"CASE WHEN n % 100 > 3 THEN {_text('n')} ELSE '' END", "error_field": "''",
                "error_detail": "''", "rid": "''",
            },
            "delivery.Skip": {"id": "n", "job_id": job, "subscriber_id": person, "reason": _WHY},
            "delivery.Open": {"id": "n", **of_message},
            "delivery.Feedback": {
                "id": "n", **of_message, "text": "''",
                "kind": "CASE WHEN n % 50 = 0 THEN 'too_often' WHEN n % 9 = 0 THEN 'irrelevant' ELSE 'useful' END",
            },
            "subscriptions.Visit": {"id": "n", "subscriber_id": person, "page": "'pages/index'", "at": at},
            "subscriptions.PromptReport": {
                "id": "n", "subscriber_id": person, "scene_id": str(self.scene.pk), "planned": "'[]'",
                "is_silent": no, "request_key": _text("n"), "answered_at": at, "received_at": at,
            },
            "callbacks.CallbackEvent": {
                "id": "n", "mini_program_id": str(self.program.pk), "identity": _text("n"),
                "event": "CASE WHEN n % 20 = 0 THEN 'subscribe_msg_popup_event' ELSE 'subscribe_msg_sent_event' END",
                "openid": padded(f"({person})"), "body": "'{}'", "attempts": "1", "due_at": at, "received_at": at,
                "error": "''", "state": "CASE WHEN n % 2000 = 0 THEN 'failed' ELSE 'handled' END",
            },
            "core.AuditEvent": {
                "id": "n", "at": at, "actor_id": str(self.user.pk), "action": "'change'",
                "subject": f"'job ' || {_text('n % 1000')}", "detail": "'{}'",
            },
        }  # fmt: skip


def insert(label: str, columns: Mapping[str, str], *, first: int, last: int) -> None:
    """Write one row of a model for each number n: what each column holds is said in SQL."""
    table, names, values = apps.get_model(label)._meta.db_table, ", ".join(columns), ", ".join(columns.values())
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"INSERT INTO {table} ({names}) {_series(values, first, last)}")


def look_again() -> None:
    """Leave the tables as a quiet night would: vacuumed and looked at by the planner."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _series(values: str, first: int, last: int) -> str:
    if connection.vendor == "postgresql":
        return f"SELECT {values} FROM generate_series({first}::bigint, {last}::bigint) AS n"  # noqa: S608
    numbers = f"WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"  # noqa: S608
    return f"{numbers} SELECT {values} FROM s"  # noqa: S608


def moment(seconds: str) -> str:
    """Return the moment so many seconds from now."""
    if connection.vendor == "postgresql":
        return f"now() + ({seconds}) * interval '1 second'"
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', ({seconds}) || ' seconds')"


def _text(number: str) -> str:
    return f"CAST({number} AS text)"


def padded(number: str = "n") -> str:
    """Return an openid for a number."""
    digits = f"'00000000000000000000000000' || {_text(number)}"
    return f"'o' || {f'right({digits}, 27)' if connection.vendor == 'postgresql' else f'substr({digits}, -27)'}"


def false() -> str:
    """Return how the database writes it."""
    return "false" if connection.vendor == "postgresql" else "0"
