"""A long history in a few statements, on PostgreSQL and on SQLite.

Rows are written as an installation would have left them: keys grow with time over ninety days, most messages arrived,
some were refused. Even of a short history every page of the desk is full: full pages and empty ones are not compared.
Nothing of it was ever sent, so the books do not add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from notify_platform.jobs.models import SendJob
from subscriptions.models import Scene, Subscriber
from templates_app.models import MessageTemplate, MiniProgram
from tests.bench import tables

DAYS = 90
BATCH = 500_000
# One person for five messages: five jobs that reached everybody.
PER_PERSON = 5

_STATES = (
    "CASE WHEN n % 10000 = 1 THEN 'unknown' WHEN n % 100 < 2 THEN 'failed' WHEN n % 100 < 12 THEN 'skipped' "
    "WHEN n % 100 = 12 THEN 'undelivered' WHEN n % 1000 = 13 THEN 'waiting' WHEN n % 100 < 20 THEN 'accepted' "
    "ELSE 'delivered' END"
)
_CODES = "CASE WHEN n % 100 < 2 AND n % 10000 <> 1 THEN CASE WHEN n % 700 = 0 THEN 47003 ELSE 43101 END END"
_WHY = "CASE WHEN n % 2 = 0 THEN 'muted' WHEN n % 3 = 0 THEN 'cap' ELSE 'no_consent' END"
_GRANTS = (
    "CASE WHEN n % 50 = 1 THEN 'revoked' WHEN n % 10 < 6 THEN 'spent' WHEN n % 10 < 8 THEN 'lapsed' "
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
        self.total = to
        columns = self._columns()
        tables.empty(reversed(columns))
        # Table by table: SQLite wants to see whom a row is about.
        for label, values in columns.items():
            last = to // PER_PERSON if label == "subscriptions.Subscriber" else to
            for first in range(1, last + 1, BATCH):
                tables.fill(label, values, first=first, last=min(first + BATCH - 1, last))
        tables.settle(columns)

    def _columns(self) -> Mapping[str, Mapping[str, str]]:
        """Table → column → what it holds for the number n."""
        at = tables.moment(f"((n - {self.total}) * {DAYS * 86_400.0} / {max(self.total, 1)})")
        people = max(self.total // PER_PERSON, 1)
        person, no = f"(n - 1) % {people} + 1", tables.false()
        job = f"{self.jobs[0].pk} + (n - 1) / {people} % {len(self.jobs)}"
        variant = f"{self.jobs[0].variants.get().pk} + (n - 1) / {people} % {len(self.jobs)}"
        template = str(self.template.pk)
        of_message = {"delivery_id": "n", "subscriber_id": person, "at": at}
        return {
            "subscriptions.Subscriber": {
                "id": "n", "mini_program_id": str(self.program.pk), "openid": tables.openid(), "nickname": "'小明'",
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
                "units": "1", "is_silent": no, "request_key": tables.text(), "answered_at": at, "received_at": at,
            },
            "subscriptions.Grant": {
                "id": "n", "subscriber_id": person, "template_id": template, "answer_id": "n", "state": _GRANTS,
                "granted_at": at, "expires_at": at,
                "revoked_by": "CASE WHEN n % 50 = 1 THEN 'person' ELSE '' END",
                "settled_at": f"CASE WHEN n % 10 < 8 OR n % 50 = 1 THEN {at} END",
            },
            "delivery.Delivery": {
                "id": "n", "mini_program_id": str(self.program.pk), "job_id": job, "variant_id": variant,
                "template_id": template, "subscriber_id": person, "is_counted": no, "state": _STATES,
                "reason": f"CASE WHEN n % 100 BETWEEN 2 AND 11 THEN {_WHY} ELSE '' END", "due_at": at, "created_at": at,
                "armed_at": at, "settled_at": at, "attempts": "1", "error_code": _CODES,
                "msgid": f"CASE WHEN n % 100 > 11 THEN {tables.text()} ELSE '' END", "error_field": "''",
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
                "is_silent": no, "request_key": tables.text(), "answered_at": at, "received_at": at,
            },
            "callbacks.CallbackEvent": {
                "id": "n", "mini_program_id": str(self.program.pk), "identity": tables.text(),
                "event": "CASE WHEN n % 20 = 0 THEN 'subscribe_msg_popup_event' ELSE 'subscribe_msg_sent_event' END",
                "openid": tables.openid(f"({person})"), "body": "'{}'", "attempts": "1", "due_at": at,
                "received_at": at, "error": "''", "state": "CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'handled' END",
            },
            "core.AuditEvent": {
                "id": "n", "at": at, "actor_id": str(self.user.pk), "action": "'change'",
                "subject": f"'job ' || {tables.text('n % 1000')}", "detail": "'{}'",
            },
        }  # fmt: skip
