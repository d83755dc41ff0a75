"""Before a job is handed over: what is missing, whom it would reach, what it costs, what else goes to these people."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from notify_platform.console.desk.audience_form import words_of
from notify_platform.console.desk.consent import in_stock
from notify_platform.console.desk.jobs import funnel, schedules, timing
from notify_platform.console.desk.jobs.composing import JobForm
from notify_platform.console.desk.jobs.funnel import Funnel
from notify_platform.core.errors import Refused
from notify_platform.delivery import rehearsal
from notify_platform.jobs import conflicts, previews
from notify_platform.jobs.conflicts import Conflict
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.models import Audience
from templates_app.models import MessageTemplate


@dataclass(frozen=True, slots=True)
class Facts:
    """An audience this moment: whom it means, how many there are, and how many of them could be reached."""

    audience: Audience
    meaning: str
    people: int
    reach: int
    # Units of the template in the whole mini-program; None: the template takes no units.
    stock: int | None
    trouble: str = ""

    @property
    def shown(self) -> dict[str, str]:
        """Return the numbers as they are shown."""
        return _shown(people=self.people, reach=self.reach, stock=self.stock)


@dataclass(frozen=True, slots=True)
class Mend:
    """One thing that keeps the job from being handed over, and the input where it is mended."""

    input_id: str
    label: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would happen: the way of the audience through all gates, when, and which jobs are in the way."""

    funnel: Funnel
    sentences: Sequence[str]
    conflicts: Sequence[InTheWay]
    needs_approval: bool
    threshold: str


def _shown(**numbers: int | None) -> dict[str, str]:
    return {name: f"{number:,}" for name, number in numbers.items() if number is not None}


class CheckForm(JobForm):
    """What stands in the form, judged as if it were handed over; it is not saved, so it need not be the latest."""

    rehearses = True

    def _compare(self) -> None:
        """Nothing is written over."""


def facts_of(audience: Audience | None, *, template: MessageTemplate) -> Facts | None:
    """Count an audience, for a template."""
    if audience is None:
        return None
    meaning = words_of(audience.rule) if audience.kind == Audience.Kind.RULE else str(audience.get_kind_display())
    stock = in_stock().filter(template=template).count() if template.is_counted else None
    try:
        people = selection.people(audience)
        reach = previews.with_consent(people, template=template).count()
        return Facts(audience, meaning, people.count(), reach, stock)
    except Refused as refusal:
        return Facts(audience, meaning, 0, 0, stock, trouble=refusal.message)


def mends(form: JobForm) -> list[Mend]:
    """Return what is wrong, in the order of the page."""
    order = [*(bound.name for bound in form), "__all__"]
    rows = sorted(form.errors.items(), key=lambda item: order.index(item[0]))
    return [
        Mend(
            input_id=_input_id(form, name) if name in form.fields else "",
            label=str(form.fields[name].label or "") if name in form.fields else "",
            sentence=str(sentence),
        )
        for name, sentences in rows
        for sentence in sentences
    ]


def _input_id(form: JobForm, name: str) -> str:
    return form[name].id_for_label or form[name].auto_id


def outcome(form: JobForm) -> Outcome:
    """Write the job, look at it as it stands among the others, and take it back. Raises ``Refused`` as ``rehearse``."""
    job = copy.copy(form.instance)
    with transaction.atomic():
        form.write(job)
        found = _outcome(job, start=form.cleaned_data.get("start") or "")
        transaction.set_rollback(True)
    return found


def _outcome(job: SendJob, *, start: str) -> Outcome:
    run = rehearsal.rehearse(job)
    threshold = job.mini_program.approval_threshold
    return Outcome(
        funnel=funnel.drawn(run, is_counted=job.template.is_counted),
        sentences=[
            *timing.sentences(job, start=start, reach=run.sent, lasts=False),
            *timing.beyond_the_day(job, reach=run.sent),
        ],
        conflicts=in_the_way(job),
        # The same question as at the submission: whom it may reach, not whom it is expected to.
        needs_approval=not 0 < threshold >= previews.reach(job),
        threshold=f"{threshold:,}",
    )


@dataclass(frozen=True, slots=True)
class InTheWay:
    """Another job of these days: its name and page, its state, when it goes, and what it shares with ours."""

    name: str
    url: str
    state: str
    at: str
    shares: str


def in_the_way(job: SendJob) -> list[InTheWay]:
    """Return the jobs that meet ours, as the page shows them."""
    return [
        InTheWay(
            name=found.job.name,
            url=reverse("admin:jobs_sendjob_change", args=[found.job.pk]),
            state=found.job.get_state_display(),
            at=_comes(found.job),
            shares=shared_words(found),
        )
        for found in conflicts.of_job(job)
    ]


def _comes(job: SendJob) -> str:
    if job.series and job.occurrence is None:
        return schedules.words(job.series)
    return timing.moment(job.starts_at) if job.starts_at else _("when somebody presses start")


def shared_words(conflict: Conflict) -> str:
    """Say what two jobs share."""
    if conflict.same_audience and conflict.same_template:
        return _("the same people get the same card")
    return _("the same people get another card") if conflict.same_audience else _("spends the same consent")
