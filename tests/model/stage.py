"""The platform on a stage: every step goes through its own verbs and edges; only WeChat's answers are made up.

Its clock is the database's and cannot be set. So the moments of a history lie around the real present, and where time
has to pass every moment in every row is moved into the past by that much.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import models, transaction
from django.test import Client
from django.utils import timezone

from notify_platform.alerts.models import Alert
from notify_platform.api import sessions
from notify_platform.callbacks import inbox
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import claims, fanout, settlement
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books
from notify_platform.jobs.models import SendJob
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import NOT_SENT, UNKNOWN, outcome_of_code
from subscriptions.grants import importing, validity
from subscriptions.models import Answer, Drift, Grant, PromptReport, Subscriber, Subscription
from subscriptions.prompts import reporting
from templates_app.models import MessageTemplate
from tests import factories

# Whatever the platform compares a moment of with another one, or with its clock.
MOVING: list[type[models.Model]] = [
    *(Answer, Grant, Drift, Subscription, Subscriber, PromptReport),
    *(SendJob, Delivery, CallbackEvent, Alert),
]
CODES = {"accepted": 0, "not_subscribed": 43101, "busy": -1, "bad_data": 47003, "bad_user": 40003}
CODES["template_banned"] = 43116


class Cut(Exception):
    """The power went before the transaction was committed."""


class Stage:
    """A mini-program, some people and templates; ``at`` turns a history's second into a moment of the platform."""

    def __init__(self, *, people: int, counted: list[bool], limit: int, folder: Path) -> None:
        self.mini_program = factories.a_mini_program(client_unconfirmed_limit=limit)
        kinds = [MessageTemplate.Kind.ONE_TIME if one else MessageTemplate.Kind.LONG_TERM for one in counted]
        self.templates = [factories.a_template(self.mini_program, kind=kind) for kind in kinds]
        self.people = factories.subscribers(self.mini_program, count=people)
        self.folder = folder
        # Whole seconds, as WeChat counts them.
        self.zero = timezone.now().replace(microsecond=0)
        self.documents: dict[str, dict[str, Any]] = {}
        self.jobs: list[SendJob] = []
        self.flights: dict[int, tuple[claims.Claim, claims.Message]] = {}

    def at(self, second: float) -> datetime:
        return self.zero + timedelta(seconds=second)

    def let_pass(self, seconds: int) -> None:
        """What happened is longer ago now."""
        self.zero -= timedelta(seconds=seconds)
        for model in MOVING:
            moments = [one.name for one in model._meta.fields if isinstance(one, models.DateTimeField)]
            model._default_manager.update(**{name: models.F(name) - timedelta(seconds=seconds) for name in moments})
        for push in CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING):
            body = push.body | {"CreateTime": int(push.body["CreateTime"]) - seconds}
            CallbackEvent.objects.filter(pk=push.pk).update(body=body)

    def date_decisions(self, *, since: datetime, second: int) -> None:
        """What we learnt in this step we learnt at its second: hours of a history pass in a moment of the real clock.

        Otherwise a message that left some seconds after a no would seem to have left minutes after it.
        """
        # SQLite's clock tells whole milliseconds.
        lately = (since - timedelta(milliseconds=1), timezone.now())
        Subscription.objects.filter(changed_at__range=lately).update(changed_at=self.at(second))

    # --- what is heard ---------------------------------------------------------------------------------------------

    def report(self, who: int, words: dict[int, str], *, code: int | None, key: str, second: float, cut: bool) -> None:
        def once() -> None:
            reporting.report(
                Subscriber.objects.get(pk=self.people[who].pk),
                scene_id=None,
                results={self._fresh(template): word for template, word in words.items()},
                err_code=code,
                client_request_id=key,
                answered_at=self.at(second),
            )

        _perhaps_cut(once, cut=cut)

    def push(self, key: str, who: int, *, event: str, second: int, items: list[dict[str, Any]], cut: bool) -> None:
        """WeChat pushes; whatever is pushed again is the same to the letter, however long ago it was.

        The scene tells pushes apart that fall in one second only because time was made to pass.
        """
        scene = str(len(self.documents))
        named = [
            item | {"TemplateId": self.templates[item["TemplateId"]].wechat_id, "PopupScene": scene} for item in items
        ]
        document = {
            "FromUserName": self.people[who].openid,
            "CreateTime": str(int(self.at(second).timestamp())),
            "Event": event,
            "List": named if len(named) > 1 else named[0],
        }
        inbox.store(self.mini_program, document=self.documents.setdefault(key, document))
        CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING).update(due_at=long_ago())
        _perhaps_cut(_handle_all, cut=cut)

    def bring(self, who: int, template: int, *, units: int, second: float) -> None:
        rows = [self.people[who].openid, self.templates[template].wechat_id, str(units), self.at(second).isoformat()]
        file = self.folder / "consents.csv"
        file.write_text("openid,template_id,count,granted_at\n" + ",".join(rows) + "\n")
        importing.import_consent(self.mini_program, path=file)

    def _fresh(self, template: int) -> MessageTemplate:
        return MessageTemplate.objects.select_related("mini_program").get(pk=self.templates[template].pk)

    # --- messages --------------------------------------------------------------------------------------------------

    def start_job(self, template: int) -> None:
        job = factories.a_running_job(self._fresh(template), audience=factories.everybody(self.mini_program))
        while fanout.step(job):
            pass
        self.jobs.append(job)

    def claim(self, job: int) -> set[int]:
        row = SendJob.objects.select_related("template", "mini_program").get(pk=self.jobs[job].pk)
        Delivery.objects.filter(job=row, state=Delivery.State.WAITING).update(due_at=long_ago())
        claim = claims.claim(row, limit=100, wordings=claims.Wordings())
        who = {person.pk: number for number, person in enumerate(self.people)}
        taken = {who[message.subscriber_id]: message for message in claim.messages}
        self.flights.update({message.delivery_id: (claim, message) for message in claim.messages})
        return set(taken)

    def arm(self, job: int, who: int, *, second: int) -> bool:
        claim, message = self._flight(job, who)
        if not claims.arm(claim.token, delivery_ids=[message.delivery_id]):
            claims.release(claim.token, delivery_ids=[message.delivery_id])
            return False
        Delivery.objects.filter(pk=message.delivery_id).update(armed_at=self.at(second))
        return True

    def land(self, job: int, who: int, *, word: str, msgid: str, second: int) -> None:
        claim, message = self._flight(job, who)
        landed = [settlement.Landed(message=message, result=_result(word, msgid=msgid))]
        settlement.settle(self.mini_program, token=claim.token, landed=landed)
        if word == "template_banned":
            told = Alert.objects.filter(subject=self.jobs[job].template.wechat_id, settled_at__isnull=True)
            told.update(last_at=self.at(second))

    def reap(self) -> None:
        while any(claims.reap()):
            pass

    def close_unknown(self) -> None:
        while settlement.close_unknown(self.mini_program):
            pass

    def resolve(self, job: int, who: int, *, was_sent: bool) -> None:
        settlement.resolve_unknown(self._row(job, who), sent=was_sent, by=None, reason="The log says so.")

    def _row(self, job: int, who: int) -> Delivery:
        return Delivery.objects.get(job=self.jobs[job], subscriber=self.people[who])

    def _flight(self, job: int, who: int) -> tuple[claims.Claim, claims.Message]:
        return self.flights[self._row(job, who).pk]

    # --- time and policy -------------------------------------------------------------------------------------------

    def lapse(self) -> None:
        while validity.lapse():
            pass

    def change_validity(self, template: int, *, days: int | None) -> None:
        MessageTemplate.objects.filter(pk=self.templates[template].pk).update(validity_days=days)
        while validity.apply():
            pass

    # --- what the books say ------------------------------------------------------------------------------------------

    def relations(self) -> dict[tuple[int, int], dict[str, Any]]:
        """Everything there is between each person and each template."""
        who = {person.pk: number for number, person in enumerate(self.people)}
        what = {template.pk: number for number, template in enumerate(self.templates)}
        said: dict[tuple[int, int], dict[str, Any]] = {
            (one, two): {"state": "none", "units": [], "drift": 0, "unconfirmed": 0}
            for one in who.values()
            for two in what.values()
        }
        ours = {"subscriber__in": self.people, "template__in": self.templates}
        for one, two, state in Subscription.objects.filter(**ours).values_list("subscriber", "template", "state"):
            said[who[one], what[two]]["state"] = state
        for one, two, units in Drift.objects.filter(**ours).values_list("subscriber", "template", "units"):
            said[who[one], what[two]]["drift"] += units
        alone = models.Q(answer__source="client", answer__pair=None, answer__paired_by=None)
        rows = Grant.objects.filter(**ours).annotate(alone=models.Case(models.When(alone, then=1), default=0))
        for one, two, state, granted_at, expires_at, is_alone in rows.values_list(
            "subscriber", "template", "state", "granted_at", "expires_at", "alone"
        ):
            books = said[who[one], what[two]]
            books["units"].append((state, self._second(granted_at), self._second(expires_at)))
            books["unconfirmed"] += is_alone and state in Grant.COUNTABLE
        return said

    def _second(self, moment: datetime | None) -> float:
        return round((moment - self.zero).total_seconds(), 3) if moment else -1.0

    def deliveries(self) -> Counter[tuple[int, int, str]]:
        who = {person.pk: number for number, person in enumerate(self.people)}
        job = {job.pk: number for number, job in enumerate(self.jobs)}
        rows = Delivery.objects.filter(job__in=job).exclude(state__in=["waiting", "skipped"])
        return Counter(
            (job[one], who[two], state) for one, two, state in rows.values_list("job", "subscriber", "state")
        )

    def told_by_the_api(self, who: int) -> dict[str, tuple[str, int]]:
        session = sessions.begin(self.mini_program, openid=self.people[who].openid)
        answer = Client().get("/api/v1/subscriptions", headers={"Authorization": f"Bearer {session.token}"})
        rows = json.loads(answer.content)["subscriptions"]
        return {row["template_id"]: (row["state"], row["available"]) for row in rows}

    @staticmethod
    def breaches() -> list[books.Breach]:
        return books.check()


def long_ago() -> datetime:
    """Due by every clock: the database's may count milliseconds only."""
    return timezone.now() - timedelta(minutes=1)


def _handle_all() -> None:
    while inbox.handle_due():
        pass


def _perhaps_cut(work: Any, *, cut: bool) -> None:
    """Do it; or do it, lose it before it is committed, and do it again."""
    if cut:
        try:
            with transaction.atomic():
                work()
                raise Cut
        except Cut:
            pass
    work()


def _result(word: str, *, msgid: str) -> SendResult:
    if word == "silence":
        return SendResult(outcome=UNKNOWN, code=None)
    if word == "unsent":
        return SendResult(outcome=NOT_SENT, code=None)
    return SendResult(outcome=outcome_of_code(CODES[word]), code=CODES[word], msgid=msgid if word == "accepted" else "")
