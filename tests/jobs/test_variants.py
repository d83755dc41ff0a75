"""A job in several wordings: who gets which, what is wrong with which, and what becomes of one that is taken out."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from notify_platform.core.errors import Refused
from notify_platform.jobs import previews, variants
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Subscriber
from tests import factories

pytestmark = pytest.mark.django_db


def a_job_in(*names: str, people: int = 0) -> SendJob:
    template = factories.a_template(factories.a_mini_program())
    factories.subscribers(template.mini_program, count=people)
    job = factories.a_job(template)
    Variant.objects.filter(job=job).update(name=names[0])
    for name in names[1:]:
        factories.another_variant(job, name=name)
    return job


def shares(job: SendJob) -> dict[int, str]:
    """Return the name of the variant of everybody there is."""
    names = {each.pk: each.name for each in variants.of_job(job)}
    rows = Subscriber.objects.annotate(variant=variants.assigned(job)).values_list("pk", "variant")
    return {person: names[variant] for person, variant in rows}


def by_hand(job: SendJob, person: int, names: str) -> str:
    """Divide by the same hash without a database: each variant has its part of all the values there are."""
    value = int(hashlib.md5(f"{job.pk}:{person}".encode(), usedforsecurity=False).hexdigest()[:4], 16)
    return next(name for place, name in enumerate(names, 1) if value < 65536 * place // len(names))


@pytest.mark.parametrize("names", ["A", "AB", "ABC", "ABCD"])
def test_each_person_gets_one_by_a_hash_of_job_and_person(names: str) -> None:
    job = a_job_in(*names, people=200)

    found = shares(job)

    assert found == {person: by_hand(job, person, names) for person in found}
    assert set(found.values()) == set(names)


def test_shares_are_equal_but_for_chance() -> None:
    counted = Counter(shares(a_job_in("A", "B", "C", people=3000)).values())

    # Five standard deviations: a fair division is outside once in a million tries.
    assert [name for name, people in counted.items() if abs(people - 1000) > 5 * 26] == []


def test_another_job_divides_the_same_people_anew() -> None:
    job = a_job_in("A", "B", people=1000)
    other = factories.a_job(job.template)
    factories.another_variant(other, name="B")

    pairs = Counter(zip(shares(job).values(), shares(other).values(), strict=True))

    assert sorted(pairs) == [("A", "A"), ("A", "B"), ("B", "A"), ("B", "B")]
    assert min(pairs.values()) > 250 - 5 * 14


def test_a_variant_that_was_taken_out_gets_nobody_and_comes_back_by_its_name() -> None:
    job = a_job_in("A", "B", people=20)
    first, second = variants.of_job(job)

    variants.write(job, words=[Variant(name="A", texts={"thing1": "alone"})])

    assert [(each.pk, each.texts) for each in variants.of_job(job)] == [(first.pk, {"thing1": "alone"})]
    assert set(shares(job).values()) == {"A"}
    variants.write(job, words=[Variant(name="A", texts={}), Variant(name="B", texts={"thing1": "again"})])
    assert [(each.pk, each.texts) for each in variants.of_job(job)] == [
        (first.pk, {}),
        (second.pk, {"thing1": "again"}),
    ]


def test_what_is_wrong_is_told_with_the_name_of_its_variant() -> None:
    job = a_job_in("A", "B")
    _first, second = variants.of_job(job)
    Variant.objects.filter(pk=second.pk).update(texts={**second.texts, "thing1": "{{ shoe_size }}"})

    with pytest.raises(Refused) as refused:
        previews.check_card(job)

    assert refused.value.fields == {
        "B.texts": "Variant B: Nothing is known as shoe_size; there are: nickname, region, city.",
    }


def test_more_variants_than_a_page_compares_are_refused() -> None:
    job = a_job_in("A", "B", "C", "D", "E")

    with pytest.raises(Refused, match="at most 4 variants"):
        previews.check_card(job)
