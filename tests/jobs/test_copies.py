"""A copy is a new draft with the same words; nothing of the old one changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notify_platform.core.models import AuditEvent
from notify_platform.jobs import copies, jobs
from notify_platform.jobs.models import SendJob, Variant
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_copy_has_the_same_words_and_begins_its_life_anew() -> None:
    template = factories.a_template(factories.a_mini_program())
    now = timezone.now()
    old = factories.a_running_job(
        template, name="Double eleven", starts_at=now, not_after=now + timedelta(days=1), pace_per_second=7
    )
    Variant.objects.filter(job=old).update(fit_keys=["thing1"], page="pages/sale?id=1")
    before = SendJob.objects.filter(pk=old.pk).values().get()
    author = factories.a_user()

    new = copies.copy(old, by=author)

    new.refresh_from_db()
    assert (new.name, new.state, new.created_by, new.submitted_by, new.approved_by) == (
        "Double eleven (copy)",
        SendJob.State.DRAFT,
        author,
        None,
        None,
    )
    assert (new.template, new.audience, new.purpose, new.pace_per_second) == (
        old.template,
        old.audience,
        old.purpose,
        7,
    )
    assert (new.starts_at, new.not_after, new.started_at, new.audience_size) == (None, None, None, 0)
    assert list(new.variants.values_list("name", "texts", "page", "fit_keys")) == [
        ("A", {"thing1": "新鲜水果"}, "pages/sale?id=1", ["thing1"])
    ]
    assert SendJob.objects.filter(pk=old.pk).values().get() == before
    row = AuditEvent.objects.get(subject=f"job {new.pk}")
    assert (row.actor, row.action, row.detail) == (author, "copy", {"source": old.pk})


def test_whatever_is_made_of_a_job_says_what_it_says() -> None:
    job = factories.a_job(factories.a_template(factories.a_mini_program()), page="pages/sale?id=1")
    Variant.objects.filter(job=job).update(fit_keys=["thing1"])
    Variant.objects.create(job=job, name="B", texts={"thing1": "香梨"}, page="")
    author, now = factories.a_user(), timezone.now()

    made = [
        copies.copy(job, by=author),
        jobs.start_test(job, by=author, card_state="trial", people=0, words=job.variants.get(name="B")),
        jobs.make_occurrence(job, day=now.date(), starts_at=now, not_after=now + timedelta(hours=1)),
    ]

    words = [("A", {"thing1": "新鲜水果"}, "pages/sale?id=1", ["thing1"]), ("B", {"thing1": "香梨"}, "", [])]
    assert [list(one.variants.order_by("pk").values_list("name", "texts", "page", "fit_keys")) for one in made] == [
        words,
        words[1:],
        words,
    ]


def test_a_long_name_still_fits_when_it_is_copied_again_and_again() -> None:
    job = factories.a_job(factories.a_template(factories.a_mini_program()), name="长" * 80)
    for _ in range(3):
        job = copies.copy(job, by=factories.a_user())
    assert len(job.name) <= 80
