"""Random histories: what happens in WeChat's world, when we hear of it, and what we send meanwhile.

Every step is done to three: the world (what WeChat really counts), the model and the platform.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from tests.model.books import Relation, Report, Template
from tests.model.post import IN_FLIGHT, Job, Message, Person, Post, SentEvent
from tests.model.stage import Stage
from tests.model.steps import Step

PEOPLE = 2
COUNTED = [True, True, False]
# One person and one template more than the others: what matters are many happenings between the same two.
WHO = (0, 0, 0, 1)
WHAT = (0, 0, 0, 1, 2)
LIMIT = 3
DAY = 86_400
# A look at all the books costs as much as a step.
LOOK_EVERY = 4
# Nobody can say whether a unit has lapsed that does so while we look.
CLOSE_CALL = 900


@dataclass
class Letter:
    """News on its way to us: from a phone, or a push of WeChat's. It may come late, twice, and after newer ones."""

    kind: str
    who: int
    second: float
    key: str
    words: dict[int, str] = field(default_factory=dict)
    msgid: str = ""
    code: int | None = None


def moment(second: float) -> datetime:
    """The model's time stands still beside the platform's, whose rows move."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


class Mismatch(AssertionError):
    """The platform and the model do not agree."""


class History:
    """Plays steps to the world, the model and the platform at once."""

    def __init__(self, *, folder: Path) -> None:
        self.stage = Stage(people=PEOPLE, counted=COUNTED, limit=LIMIT, folder=folder)
        templates = [Template(is_counted=one) for one in COUNTED]
        relations = {
            (who, number): Relation(template=template, limit=LIMIT)
            for who in range(PEOPLE)
            for number, template in enumerate(templates)
        }
        self.post = Post(templates=templates, people=[Person() for _ in range(PEOPLE)], relations=relations)
        self.second = 0
        self.numbers = 0
        self.bag: list[Letter] = []
        self.read: list[Letter] = []
        # What WeChat counts, and the pairs of whom we cannot know it: forged, silent, imported, imposed.
        self.truth: Counter[tuple[int, int]] = Counter()
        self.untold: set[tuple[int, int]] = set()
        self.off_at: dict[tuple[int, int], int] = {}

    # --- the frame -------------------------------------------------------------------------------------------------

    def play(self, steps: Sequence[Step]) -> None:
        for number, step in enumerate(steps, start=1):
            self.do(step)
            if number % LOOK_EVERY == 0:
                self.compare()
        self.come_to_rest()
        self.compare()
        self.compare_with_wechat()

    def do(self, step: Step) -> None:
        self.second += 1 + step.c % 3
        self._keep_clear_of_ends()
        verb: Callable[[Step], None] = getattr(self, f"_{step.verb}")
        began = timezone.now()
        verb(step)
        self.stage.date_decisions(since=began, second=self.second)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    @property
    def now(self) -> datetime:
        return moment(self.second)

    def _keep_clear_of_ends(self) -> None:
        def is_close() -> bool:
            ends = [unit.end for relation in self.post.relations.values() for unit in relation.units if unit.end]
            return any(abs((end - self.now).total_seconds()) < CLOSE_CALL for end in ends)

        while is_close():
            self._pass(2 * CLOSE_CALL)

    def _pass(self, seconds: int) -> None:
        """Time goes by: the model's moments stay, the platform's rows move; so the model's are moved alike."""
        self.second += seconds
        self.stage.let_pass(seconds)
        for message in self.post.messages:
            message.lease_lapsed = message.lease_lapsed or message.state in IN_FLIGHT

    # --- WeChat's world --------------------------------------------------------------------------------------------

    def _popup(self, step: Step) -> None:
        """Somebody is asked for one or two templates and answers; phone and WeChat write a letter each."""
        who, first = WHO[step.a % len(WHO)], WHAT[step.b % len(WHAT)]
        asked = {first, (first + 1) % 2} if first < 2 and step.a % 3 == 0 else {first}
        # Now and then more popups at once, a minute and a half apart: who belongs to whom?
        for number in range(1 + (step.c % 5 == 0) * 2):
            if number:
                self._pass(95)
            words = {template: ("reject", "ban", *["accept"] * 7)[(step.c + template) % 9] for template in asked}
            self._write(step, who, words=words)

    def _write(self, step: Step, who: int, *, words: dict[int, str]) -> None:
        number, second = self.number(), self.second
        is_silent = step.a % 11 == 0
        lag = (step.b % 4000 - 2000) / 1000 if step.a % 4 else (step.b * 7 % 80) + 0.25
        self.bag.append(Letter("phone", who, second - lag - number / 1000, f"claim{number}", words=words))
        told = {template: word for template, word in words.items() if word != "ban"}
        if told and not is_silent:
            self.bag.append(Letter("popup", who, second, f"event{number}", words=told))
        for template, word in words.items():
            if word == "accept":
                self.truth[who, template] = self.truth[who, template] + 1 if COUNTED[template] else 1
            if is_silent or word == "ban":
                self.untold.add((who, template))

    def _turn_off(self, step: Step) -> None:
        who, template = WHO[step.a % len(WHO)], WHAT[step.b % len(WHAT)]
        self.truth[who, template] = 0
        self.off_at[who, template] = self.second
        self.bag.append(Letter("change", who, self.second, f"change{self.number()}", words={template: "reject"}))

    def _switch_off(self, step: Step) -> None:
        who = WHO[step.a % len(WHO)]
        self.bag.append(Letter("phone", who, self.second - 0.5, f"claim{self.number()}", code=20004))

    # --- what we hear ----------------------------------------------------------------------------------------------

    def _tell(self, step: Step) -> None:
        if self.bag:
            # Mostly in order, often not.
            letter = self.bag.pop(step.a % len(self.bag) if step.b % 2 else 0)
            self.read.append(letter)
            self._hear(letter, cut=step.c % 8 == 0)

    def _again(self, step: Step) -> None:
        if self.read:
            self._hear(self.read[step.a % len(self.read)], cut=False)

    def _forge(self, step: Step) -> None:
        """A phone claims what never was, several times."""
        who, template = WHO[step.a % len(WHO)], WHAT[step.b % len(WHAT)]
        self.untold.add((who, template))
        for _ in range(1 + step.c % 5):
            number = self.number()
            second = self.second - (step.c * 13 % 500) - number / 1000
            self._hear(Letter("phone", who, second, f"claim{number}", words={template: "accept"}), cut=False)

    def _bring(self, step: Step) -> None:
        """A file of consents of some hours ago."""
        who, template = WHO[step.a % len(WHO)], WHAT[step.b % len(WHAT)]
        self.untold.add((who, template))
        number, units = self.number(), 1 + step.c % 3
        second = self.second - 3600 - number / 1000
        self.stage.bring(who, template, units=units, second=second)
        if step.c % 2:
            self.stage.bring(who, template, units=units, second=second)
        report = Report("import", "accept", moment(second), f"import{number}", units=units)
        self.post.relations[who, template].hear(report, now=self.now)

    def _hear(self, letter: Letter, *, cut: bool) -> None:
        """Hand a letter to the platform and to the model."""
        getattr(self, f"_hear_{letter.kind}")(letter, cut)

    def _hear_phone(self, letter: Letter, cut: bool) -> None:
        self.stage.report(letter.who, letter.words, code=letter.code, key=letter.key, second=letter.second, cut=cut)
        self._note(letter, witness="phone")
        if letter.code or letter.words:
            self.post.people[letter.who].switch.append((moment(letter.second), letter.code is None))

    def _hear_popup(self, letter: Letter, cut: bool) -> None:
        items = [{"TemplateId": one, "SubscribeStatusString": word} for one, word in letter.words.items()]
        is_new = letter.key not in self.stage.documents
        self._push(letter, event="subscribe_msg_popup_event", items=items, cut=cut)
        self._note(letter, witness="wechat")
        for template, word in letter.words.items():
            if is_new and word == "accept":
                self.post.lift_ban(template, shown_at=moment(int(letter.second)))
        self.post.hear_sent()

    def _hear_change(self, letter: Letter, cut: bool) -> None:
        items = [{"TemplateId": one, "SubscribeStatusString": word} for one, word in letter.words.items()]
        self._push(letter, event="subscribe_msg_change_event", items=items, cut=cut)
        for template in letter.words:
            self.post.relations[letter.who, template].hear_off(moment(letter.second + 0.999999))
        self.post.hear_sent()

    def _hear_sent(self, letter: Letter, cut: bool) -> None:
        template = next(iter(letter.words))
        items = [{"TemplateId": template, "MsgID": letter.msgid, "ErrorCode": "0", "ErrorStatus": "success"}]
        is_new = letter.key not in self.stage.documents
        self._push(letter, event="subscribe_msg_sent_event", items=items, cut=cut)
        if is_new:
            at = moment(letter.second)
            self.post.pending.append(SentEvent(letter.who, template, letter.msgid, at))
        self.post.hear_sent()

    def _push(self, letter: Letter, *, event: str, items: list[dict[str, Any]], cut: bool) -> None:
        self.stage.push(letter.key, letter.who, event=event, second=int(letter.second), items=items, cut=cut)

    def _note(self, letter: Letter, *, witness: str) -> None:
        for template, word in letter.words.items():
            report = Report(witness, word, moment(letter.second), letter.key)
            self.post.relations[letter.who, template].hear(report, now=self.now)

    # --- messages --------------------------------------------------------------------------------------------------

    def _claim(self, step: Step) -> None:
        """Go on with a job that has somebody waiting, or start one; then take whom the gates let through."""
        template = WHAT[step.a % len(WHAT)]
        if self.post.templates[template].is_banned:
            return
        going = [job for job in self.post.jobs if job.template == template and job.waiting and not job.stands]
        if going and step.b % 2:
            job = going[step.c % len(going)]
        else:
            job = self.post.start_job(template)
            self.stage.start_job(template)
        self._expect({one.who for one in self.post.claim(job, now=self.now)}, self.stage.claim(self._of(job)))

    def _of(self, job: Job) -> int:
        return self.post.jobs.index(job)

    @staticmethod
    def _expect(model: object, platform: object) -> None:
        if model != platform:
            raise Mismatch(f"the model says {model}, the platform {platform}")

    def _one(self, step: Step, *states: str) -> Message | None:
        some = [one for one in self.post.messages if one.state in states and one.has_worker]
        return some[step.a % len(some)] if some else None

    def _arm(self, step: Step) -> None:
        if message := self._one(step, "claimed"):
            platform = self.stage.arm(self._of(message.job), message.who, second=self.second)
            self._expect(self.post.arm(message, now=self.now), platform)

    def _land(self, step: Step) -> None:
        """WeChat gets a request, or does not; it answers, or the answer is lost."""
        message = self._one(step, "sending", "unknown")
        if message is None:
            return
        luck = ("fine", "fine", "fine", "fine", "fine", "mute", "lost", "busy", "bad_data", "unsent")[step.b % 10]
        luck = {0: "bad_user", 1: "template_banned"}.get(step.c % 60, luck)
        self._answer(message, luck=luck)

    def _answer(self, message: Message, *, luck: str) -> None:
        pair, msgid = (message.who, message.job.template), ""
        word = {"fine": "not_subscribed", "mute": "silence", "lost": "silence"}.get(luck, luck)
        if luck in ("fine", "mute") and self.truth[pair]:
            self.truth[pair] -= COUNTED[message.job.template]
            if message.unit and message.unit.moment < moment(self.off_at.get(pair, -DAY) + 100):
                # WeChat took a newer consent than the one we hold, which is void without our knowing.
                self.untold.add(pair)
            msgid = str(3_000_000 + self.number())
            left = int((message.left_at or self.now).timestamp() - moment(0).timestamp())
            self.bag.append(
                Letter("sent", message.who, left + 1, f"sent{msgid}", words={message.job.template: ""}, msgid=msgid)
            )
            word = "accepted" if luck == "fine" else word
        message.was_counted = bool(msgid)
        self.stage.land(self._of(message.job), message.who, word=word, msgid=msgid, second=self.second)
        self.post.answered(message, word=word, msgid=msgid, now=self.now)
        message.has_worker = False

    def _die(self, step: Step) -> None:
        """A worker dies and its leases lapse; another one may only sleep through its lease, and answer late."""
        if message := self._one(step, "claimed", "sending"):
            message.has_worker = bool(step.b % 2)
        self._pass(100)
        self.post.reap()
        self.stage.reap()

    def _close(self, step: Step) -> None:
        """Ten minutes on, the policy counts what is unknown as sent."""
        self._pass(1200)
        for message in self.post.messages:
            if message.state == "unknown" and not message.was_counted:
                self.untold.add((message.who, message.job.template))
        self.post.close_unknown()
        self.stage.close_unknown()

    def _resolve(self, step: Step) -> None:
        some = [one for one in self.post.messages if one.state == "unknown" and not one.has_worker]
        if some:
            message = some[step.a % len(some)]
            self.stage.resolve(self._of(message.job), message.who, was_sent=message.was_counted)
            self.post.resolve(message, was_sent=message.was_counted)

    # --- time and policy -------------------------------------------------------------------------------------------

    def _wait(self, step: Step) -> None:
        self._pass((1, 5, 30, 80)[step.a % 4] * 3600 + 17 * 60)

    def _lapse(self, step: Step) -> None:
        for relation in self.post.relations.values():
            relation.lapse(self.now)
        self.stage.lapse()

    def _revalue(self, step: Step) -> None:
        template, days = WHAT[step.a % len(WHAT)], (1, 3, 7, 14, None)[step.b % 5]
        if days == self.post.templates[template].validity_days:
            return
        self.post.templates[template].validity_days = days
        self._keep_clear_of_ends()
        for (_who, of), relation in self.post.relations.items():
            if of == template:
                relation.change_validity(self.now)
        self.stage.change_validity(template, days=days)

    # --- the end ---------------------------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """Everything in flight lands, every letter is read, what nobody speaks for is closed."""
        while message := next((one for one in self.post.messages if one.state == "claimed"), None):
            message.has_worker = True
            self.do(Step("arm"))
        while message := self._one(Step(""), "sending"):
            self._answer(message, luck="fine")
        self.do(Step("die"))
        while self.bag:
            self.do(Step("tell"))
        for verb in ("close", "lapse"):
            self.do(Step(verb))

    def compare(self) -> None:
        """Ask both for everything between every person and every template, and what became of every message."""
        said = self.stage.relations()
        for (who, template), relation in self.post.relations.items():
            ours, platform = self._books_of(relation), said[who, template]
            platform["units"].sort()
            if ours != platform:
                raise Mismatch(f"person {who}, template {template}:\nmodel    {ours}\nplatform {platform}")
        rows = [one for one in self.post.messages if one.state != "waiting"]
        self._expect(Counter((self._of(one.job), one.who, one.state) for one in rows), self.stage.deliveries())

    @staticmethod
    def _books_of(relation: Relation) -> dict[str, Any]:
        def second(at: datetime | None) -> float:
            return round((at - moment(0)).total_seconds(), 3) if at else -1.0

        units = sorted((unit.state, second(unit.moment), second(unit.end)) for unit in relation.units)
        return {
            "state": relation.state,
            "units": units,
            "drift": relation.drift,
            "unconfirmed": relation.unconfirmed,
        }

    def compare_with_wechat(self) -> None:
        """Where everything was told, our books and WeChat's are the same; the API says what they say."""
        self._expect([], self.stage.breaches())
        for who, person in enumerate(self.post.people):
            told = {}
            for number, template in enumerate(self.post.templates):
                relation = self.post.relations[who, number]
                if relation.is_told:
                    halted = relation.state == "on" and (person.is_switched_off or template.is_banned)
                    state = "suspended" if halted else relation.state
                    told[self.stage.templates[number].wechat_id] = (state, relation.available(self.now))
                if (who, number) in self.untold or relation.refusals:
                    continue
                if template.is_counted:
                    self._expect({"WeChat counts": self.truth[who, number]}, {"WeChat counts": relation.at_wechat})
                elif relation.state != "banned":
                    self._expect(bool(self.truth[who, number]), relation.state == "on")
            if who == self.numbers % PEOPLE:
                self._expect(told, self.stage.told_by_the_api(who))
