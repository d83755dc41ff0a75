"""Messages once more: who may get one, which consent it holds, and what becomes of both. Knows no database either."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.model.books import Relation, Template, Unit

IN_FLIGHT = ("claimed", "sending")
RETRIES = 3
EARLY, LATE = timedelta(minutes=2), timedelta(minutes=30)
TRIES_OF_AN_EVENT = 10


@dataclass
class Person:
    """What we know of a person beside the templates; ``switch``: (moment, whether all messages were on)."""

    switch: list[tuple[datetime, bool]] = field(default_factory=list)
    is_unreachable: bool = False

    @property
    def is_switched_off(self) -> bool:
        # Of two in one instant the one heard last.
        newest = max(range(len(self.switch)), key=lambda n: (self.switch[n][0], n), default=None)
        return newest is not None and not self.switch[newest][1]


@dataclass(eq=False)
class Message:
    """One message to one person; ``has_worker``: somebody still waits for WeChat's answer to it."""

    job: Job
    who: int
    unit: Unit | None
    attempts: int
    state: str = "claimed"
    has_worker: bool = True
    lease_lapsed: bool = False
    is_closed: bool = False
    # Whether WeChat counted it: nobody of us knows.
    was_counted: bool = False
    left_at: datetime | None = None
    msgid: str = ""


@dataclass(eq=False)
class Job:
    """One broadcast: who still waits, and how often each was tried."""

    template: int
    waiting: dict[int, int]
    stands: bool = False


@dataclass(eq=False)
class SentEvent:
    """WeChat says that a message went; it names it, but we may not know the name."""

    who: int
    template: int
    msgid: str
    at: datetime
    tries: int = 0


@dataclass
class Post:
    """All messages of a few people and templates."""

    templates: list[Template]
    people: list[Person]
    relations: dict[tuple[int, int], Relation]
    messages: list[Message] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    pending: list[SentEvent] = field(default_factory=list)

    def relation_of(self, message: Message) -> Relation:
        return self.relations[message.who, message.job.template]

    def start_job(self, template: int) -> Job:
        """Consent is looked at once: who has none that counts, or may come back, is out."""
        waiting = {who: 0 for who in range(len(self.people)) if self._has_consent(self.relations[who, template])}
        job = Job(template=template, waiting=waiting)
        self.jobs.append(job)
        return job

    @staticmethod
    def _has_consent(relation: Relation) -> bool:
        if relation.template.is_counted:
            return any(unit.state in ("available", "reserved") for unit in relation.units)
        return relation.state == "on"

    def claim(self, job: Job, *, now: datetime) -> list[Message]:
        """Take everybody who waits through the gates; one message in flight for a person."""
        taken = []
        for who, attempts in list(job.waiting.items()):
            if any(one.who == who and one.state in IN_FLIGHT for one in self.messages):
                continue
            del job.waiting[who]
            relation, person = self.relations[who, job.template], self.people[who]
            if person.is_unreachable or person.is_switched_off or relation.state in ("off", "banned"):
                continue
            unit = relation.reserve(now) if relation.template.is_counted else None
            if unit is None and relation.template.is_counted:
                continue
            taken.append(Message(job=job, who=who, unit=unit, attempts=attempts))
        self.messages += taken
        return taken

    def arm(self, message: Message, *, now: datetime) -> bool:
        """It may leave, unless its worker slept too long or its job stands; then it waits again."""
        if message.lease_lapsed or message.job.stands:
            self._wait_again(message)
            return False
        message.state, message.left_at = "sending", now
        return True

    def _wait_again(self, message: Message) -> None:
        message.job.waiting[message.who] = message.attempts
        self._free(message, state="waiting")

    def _free(self, message: Message, *, state: str) -> None:
        message.state = state
        if message.unit:
            self.relation_of(message).give_back(message.unit)

    def reap(self) -> None:
        """Leases lapsed: what was only claimed waits again, what was being sent is unknown."""
        for message in self.messages:
            if message.lease_lapsed and message.state == "claimed":
                self._wait_again(message)
            elif message.lease_lapsed and message.state == "sending":
                message.state = "unknown"

    def answered(self, message: Message, *, word: str, msgid: str, now: datetime) -> None:
        """WeChat answered, and a worker still listened."""
        is_late = message.state == "unknown"
        if message.state not in ("sending", "unknown"):
            return
        if word == "accepted":
            message.state, message.msgid = "accepted", msgid
            self._spend(message)
        elif word == "silence":
            message.state = "unknown"
        elif word == "not_subscribed" and message.left_at:
            message.state = "failed"
            self.relation_of(message).refuse(message.unit, left_at=message.left_at)
        elif word in ("busy", "unsent") and not is_late and (word == "unsent" or message.attempts < RETRIES):
            message.attempts += word == "busy"
            self._wait_again(message)
        else:
            self._free(message, state="failed")
        if word == "bad_user":
            self.people[message.who].is_unreachable = True
        if word == "template_banned":
            self.ban(message.job.template, at=now)

    @staticmethod
    def _spend(message: Message) -> None:
        if message.unit and message.unit.state == "reserved":
            message.unit.state = "spent"

    def ban(self, template: int, *, at: datetime) -> None:
        """A ban heard of again is as new as that."""
        self.templates[template].banned_at = at
        for job in self.jobs:
            job.stands = job.stands or job.template == template

    def lift_ban(self, template: int, *, shown_at: datetime) -> None:
        """Somebody could agree then: a ban of before is over, for all and for each."""
        banned_at = self.templates[template].banned_at
        if banned_at is not None and banned_at < shown_at:
            self.templates[template].banned_at = None
        for (_who, of), relation in self.relations.items():
            if of == template:
                relation.lift_ban(before=shown_at)

    def close_unknown(self) -> None:
        """Nobody spoke for them: they count as sent."""
        for message in self.messages:
            if message.state == "unknown" and not message.is_closed:
                message.is_closed = True
                self._spend(message)

    def resolve(self, message: Message, *, was_sent: bool) -> None:
        """An operator says what became of an unknown message."""
        if was_sent:
            message.state = "accepted"
            self._spend(message)
        else:
            self._free(message, state="failed")

    def hear_sent(self) -> None:
        """Look at all sent events that wait, the oldest first; what fits nothing is tried again, ten times."""
        for event in sorted(self.pending, key=lambda one: one.at):
            event.tries += 1
            message = self._meant(event)
            if message is None:
                if event.tries >= TRIES_OF_AN_EVENT:
                    self.pending.remove(event)
                continue
            self.pending.remove(event)
            if message.state in ("accepted", "unknown"):
                message.state, message.msgid = "delivered", event.msgid
                self._spend(message)

    def _meant(self, event: SentEvent) -> Message | None:
        """The message of that name; else the nearest without a name, unless that is still being sent."""
        named = [one for one in self.messages if one.msgid == event.msgid]
        if named:
            return named[0]
        near = [
            one
            for one in self.messages
            if (one.who, one.job.template) == (event.who, event.template) and self._may_be_meant(one)
            if one.left_at and -EARLY <= event.at - one.left_at <= LATE
        ]
        nearest = min(near, key=lambda one: abs(event.at - (one.left_at or event.at)), default=None)
        return None if nearest is None or nearest.state == "sending" else nearest

    @staticmethod
    def _may_be_meant(message: Message) -> bool:
        return message.state in ("unknown", "sending") or (message.state == "accepted" and not message.msgid)
