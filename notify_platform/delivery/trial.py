"""Trying a draft out on colleagues' phones: the same engine, the same gates, the same books, a small job of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from notify_platform.delivery import fanout
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import jobs, previews, variants
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.grants import ledger
from subscriptions.models import Subscriber
from subscriptions.people import people
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MOST_AT_ONCE = 20
# A test opens a version that is not released yet.
CARD_STATES = (MiniProgram.State.TRIAL, MiniProgram.State.DEVELOPER)


@dataclass(frozen=True, slots=True)
class Tester:
    """Somebody tests may be sent to, and the units of the job's template they have in stock (None: it takes none)."""

    person: Subscriber
    units: int | None


def testers_of(job: SendJob) -> list[Tester]:
    """Return the testers of a job's mini-program with their stock; two queries."""
    persons = list(people.testers(job.mini_program_id).order_by("pk"))
    held: dict[int, int] = {}
    if job.template.is_counted and persons:
        stock = ledger.in_stock(template=job.template).filter(subscriber__in=persons)
        held = dict(stock.values_list("subscriber").annotate(units=Count("pk")))
    return [Tester(one, held.get(one.pk, 0) if job.template.is_counted else None) for one in persons]


def add_tester(mini_program_id: int, *, openid: str, by: AbstractBaseUser) -> Subscriber:
    """Put the person with this whole openid on the list. Raises ``Refused`` when nobody is called so."""
    known = Subscriber.objects.filter(mini_program=mini_program_id, openid=openid.strip(), forgotten_at=None)
    person = known.first()
    if person is None:
        sentence = _("Nobody of this mini-program has this openid. Open the mini-program with that phone first.")
        raise Refused(sentence, code="unknown", fields={"openid": sentence})
    _set_tester(person, is_tester=True, by=by)
    return person


def remove_tester(person: Subscriber, *, by: AbstractBaseUser) -> None:
    """Take somebody off the list; what was sent to them stays in the log."""
    _set_tester(person, is_tester=False, by=by)


def _set_tester(person: Subscriber, *, is_tester: bool, by: AbstractBaseUser) -> None:
    with transaction.atomic():
        if people.set_tester(person, is_tester=is_tester):
            action = "add_tester" if is_tester else "remove_tester"
            audit(by, action=action, subject=f"subscriber {person.pk}", mini_program=person.mini_program_id)


def send(job: SendJob, *, to: Collection[int], card_state: str, by: AbstractBaseUser, variant: str = "") -> SendJob:
    """Send a draft's words to these testers, now; returns the test. Each message spends a unit of consent as ever.

    ``variant``: its name; empty: the first one.

    Raises ``Refused``, and nothing was sent, for anybody who is no tester, for words that cannot be sent, and for a
    job that is no draft.
    """
    if job.state not in SendJob.EDITABLE or job.test_of_id:
        raise Refused(_("Only a draft can be tried out."), code="wrong_state")
    if card_state not in CARD_STATES:
        raise Refused(_("A test opens the trial or the development version."), code="card_state")
    chosen = people.testers(job.mini_program_id).filter(pk__in=to)
    wanted = set(to)
    if not wanted:
        raise Refused(_("Choose at least one tester."), code="nobody")
    if len(wanted) > MOST_AT_ONCE:
        raise Refused(_("At most %(most)d testers at once.") % {"most": MOST_AT_ONCE}, code="too_many")
    previews.check_card(job)
    words = _words(job, name=variant)
    with transaction.atomic():
        # One after the other: a second press finds the messages of the first.
        list(SendJob.objects.select_for_update().filter(pk=job.pk).values_list("pk"))
        if chosen.count() != len(wanted):
            raise Refused(_("Somebody you chose is no tester any more, so nothing was sent."), code="no_tester")
        under_way = Delivery.objects.filter(job__test_of=job, subscriber__in=wanted, state__in=Delivery.OPEN)
        if under_way.exists():
            raise Refused(_("A test to somebody you chose is still under way. Wait for its result."), code="under_way")
        test = jobs.start_test(job, by=by, card_state=card_state, people=len(wanted), words=words)
        fanout.to_testers(test, people=chosen)
    return test


def _words(job: SendJob, *, name: str) -> Variant:
    written = variants.of_job(job)
    found = next((each for each in written if each.name == name), None) if name else written[0]
    if found is None:
        raise Refused(_("The job has no variant %(name)s any more.") % {"name": name}, code="variant")
    return found
