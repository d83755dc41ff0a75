"""The desk in Chinese, beyond our own catalogue: what is said after a deed, what scripts say, what the theme brings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from notify_platform.console.desk.jobs.deeds import DEEDS
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob, Series
from subscriptions.models import Audience, Scene
from tests import factories
from tests.architecture.tree import ROOT
from tests.console.conftest import a_delivery, a_row_of_everything

SCRIPTS = sorted((ROOT / "notify_platform/console/static/console").glob("*.js"))
# Two words in a row that are no name of a thing: "Save draft", "no rows".
SENTENCE = re.compile(r"\b[A-Za-z][a-z']+(?: [a-z][a-z']+)+\b")
STRING = re.compile(r"'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\"|`((?:[^`\\]|\\.)*)`")
# What a person copies into a shell or a mini-program, and what the tests call things.
CODE = re.compile(r"<(pre|code|script|style|textarea)\b.*?</\1>", re.DOTALL)
COMMANDS = ("manage.py worker",)


@pytest.fixture
def in_chinese(settings: Any) -> Iterator[None]:
    settings.LANGUAGE_CODE = "zh-hans"
    with translation.override("zh-hans"):
        yield


def told(page: str) -> list[str]:
    """Return everything a page says, also in its tab, in attributes and on buttons."""
    body = re.sub(r"<span[^>]*material-symbols-outlined.*?</span>", " ", CODE.sub(" ", page), flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", " ", body, flags=re.DOTALL)
    attributes = re.findall(r'\b(?:placeholder|title|aria-label|data-label|alt|label)="([^"]*)"', body)
    buttons = re.findall(r'<input[^>]*type="(?:submit|button)"[^>]*value="([^"]*)"', body)
    return [unescape(piece).strip() for piece in [*re.sub(r"<[^>]+>", "\n", body).splitlines(), *attributes, *buttons]]


def english_in(page: str, *, names: set[str]) -> list[str]:
    """Return the English sentences of a page, without what the rows themselves are called."""
    found = set()
    for piece in told(page):
        for word in sorted({*names, *COMMANDS}, key=len, reverse=True):
            piece = piece.replace(word, " ")
        found.update(SENTENCE.findall(piece))
    return sorted(found)


def names_of_rows() -> set[str]:
    """Return what the rows of the tests are called: data is nobody's to translate."""
    found = set()
    for model in django_admin.site._registry:
        for row in model._default_manager.all():
            found |= {value for value in vars(row).values() if isinstance(value, str) and len(value) > 3}
            found |= {str(value) for value in vars(row).values() if isinstance(value, dict)}
    return found


@pytest.fixture
def desk(in_chinese: None, admin: Client) -> Client:
    return admin


@pytest.mark.django_db
def test_no_list_and_no_page_says_anything_in_english(desk: Client) -> None:
    rows = a_row_of_everything()
    Scene.objects.update(name="支付成功页")
    for audience in Audience.objects.all():
        Audience.objects.filter(pk=audience.pk).update(name=f"名单 {audience.pk}")
    job = factories.a_running_job(rows["template"])
    factories.grants(rows["template"], to=[rows["person"]])
    a_delivery(job, person=rows["person"], state=Delivery.State.UNKNOWN, armed_at=timezone.now())
    SendJob.objects.filter(pk=job.pk).update(fanned_out_at=timezone.now())
    draft = factories.a_job(rows["template"], series=Series.objects.get())
    pages = [reverse("admin:index")]
    pages += [reverse(f"admin:jobs_sendjob_{name}", args=[job.pk]) for name in ("change", "follow_up")]
    pages += [reverse(f"admin:jobs_sendjob_{name}", args=[draft.pk]) for name in ("change", "repeat")]
    pages += [reverse("admin:jobs_sendjob_do", args=[job.pk, name]) for name in ("pause", "settle_sent")]
    pages += [reverse("admin:jobs_series_do", args=[Series.objects.get().pk, name]) for name in ("pause", "end")]
    for model in django_admin.site._registry:
        name = model._meta.label_lower.replace(".", "_")
        row: Any = model._default_manager.order_by("pk").first()
        pages += [reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=[row.pk])]
        if django_admin.site._registry[model].has_add_permission(_request(desk)):
            pages.append(reverse(f"admin:{name}_add"))
    names = names_of_rows()
    english = {}
    for url in pages:
        response = desk.get(url, follow=True)
        assert response.status_code == 200, url
        if found := english_in(response.content.decode(), names=names):
            english[url] = found
    assert english == {}


def _request(client: Client) -> Any:
    return client.get(reverse("admin:index")).wsgi_request


@pytest.mark.django_db
def test_what_is_said_after_a_deed_is_chinese(desk: Client) -> None:
    template = factories.a_template(factories.a_mini_program(approval_threshold=0))
    job = factories.a_job(template, created_by=factories.a_user())
    said = []
    # Every deed, also where it is not possible: the refusal is a sentence, too.
    for name in ("pause", "submit", "approve", "start", "pause", "resume", "settle_sent", "cancel", *DEEDS):
        answer = desk.post(reverse("admin:jobs_sendjob_do", args=[job.pk, name]), {"reason": "日志可查"})
        said += [str(message) for message in get_messages(answer.wsgi_request)]
        desk.get(reverse("admin:index"))
    assert len(said) > 10
    assert [sentence for sentence in said if SENTENCE.search(sentence)] == []


@pytest.mark.django_db
def test_what_a_form_refuses_is_said_in_chinese(desk: Client) -> None:
    job = factories.a_job(factories.a_template(factories.a_mini_program()))
    page = desk.post(reverse("admin:jobs_sendjob_repeat", args=[job.pk]), {}).content.decode()
    names = {job.name, job.purpose, "Everybody"}
    assert (english_in(page, names=names), page.count("必填")) == ([], 4)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_has_no_sentence_of_its_own(script: Path) -> None:
    """What a script says comes with the page, translated."""
    code = re.sub(r"(?m)(^|\s)//.*$", "", script.read_text()).replace('"use strict"', "")
    strings = ["".join(found) for found in STRING.findall(code)]
    spoken = [text for text in strings if re.search(r"[A-Z][a-z']+ [a-z]+ [a-z]+", text)]
    assert spoken == []


@pytest.mark.django_db
def test_the_calendar_of_the_forms_is_chinese_and_begins_on_monday(desk: Client) -> None:
    catalogue = desk.get(reverse("admin:jsi18n")).content.decode()
    formats = json.loads(re.search(r"django\.formats = (\{.*?\});", catalogue, re.DOTALL)[1])  # type: ignore[index]
    assert (formats["FIRST_DAY_OF_WEEK"], formats["DATE_FORMAT"], formats["DATETIME_FORMAT"]) == (
        1, "Y-m-d", "Y-m-d H:i",
    )  # fmt: skip
    assert formats["DATE_INPUT_FORMATS"][0] == "%Y-%m-%d"
    words = json.loads(re.search(r"newcatalog = (\{.*?\});", catalogue, re.DOTALL)[1])  # type: ignore[index]
    assert {word: words.get(word) for word in ("January", "Today", "Choose a Date", "Now")} == {
        "January": "一月", "Today": "今天", "Choose a Date": "选择一个日期", "Now": "现在",
    }  # fmt: skip


@pytest.mark.django_db
def test_moments_are_written_with_figures_on_every_page(desk: Client) -> None:
    rows = a_row_of_everything()
    jobs.submit(rows["job"], by=None)
    pages = [reverse("admin:index")]
    for model in django_admin.site._registry:
        name = model._meta.label_lower.replace(".", "_")
        row: Any = model._default_manager.order_by("pk").first()
        pages += [reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=[row.pk])]
    wide = {
        url for url in pages if re.search(r"\d{4}年\d{1,2}月|上午|下午|a\.m\.|p\.m\.", desk.get(url).content.decode())
    }
    assert wide == set()
