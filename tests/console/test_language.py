"""The desk speaks Chinese, all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time
from html import unescape
from pathlib import Path
from typing import Any

import django
import polib
import pytest
import unfold
from django.contrib import admin as django_admin
from django.test import Client
from django.urls import reverse
from django.utils import formats, translation

from notify_platform.delivery.models import Delivery
from notify_platform.jobs import jobs
from subscriptions.models import Audience
from tests import factories
from tests.architecture.tree import PACKAGES, ROOT
from tests.console import words
from tests.console.conftest import a_delivery, a_row_of_everything

CATALOGUE = ROOT / "notify_platform" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
PLACEHOLDER = re.compile(r"%\(\w+\)[sdr]|%[sdr]|\{\w*\}(?!\})")
# The theme's own catalogue is none at all; Django's apps bring theirs.
DJANGOS = ("conf", "contrib/admin", "contrib/auth", "contrib/contenttypes", "contrib/sessions")


def entries(path: Path = CATALOGUE) -> list[polib.POEntry]:
    return list(polib.pofile(str(path)))


def translations(entry: polib.POEntry | polib.MOEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


# --- the catalogue -------------------------------------------------------------------------------------------------


def test_every_string_of_the_source_is_in_the_catalogue_and_nothing_else_is() -> None:
    source = set[str]().union(*(words.of_tree(ROOT / package) for package in PACKAGES))
    assert {entry.msgid for entry in entries()} == source


def test_every_entry_is_translated_and_none_is_a_guess() -> None:
    assert [entry.msgid for entry in entries() if not all(translations(entry))] == []
    assert [entry.msgid for entry in entries() if entry.fuzzy or entry.obsolete] == []


def placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def test_a_translation_has_the_placeholders_of_its_source() -> None:
    differing = [
        entry.msgid
        for entry in entries()
        for translated in translations(entry)
        if placeholders(translated) not in (placeholders(entry.msgid), placeholders(entry.msgid_plural or entry.msgid))
    ]
    assert differing == []


def test_a_translation_keeps_the_line_breaks_at_its_ends() -> None:
    def ends(text: str) -> tuple[bool, bool]:
        return text.startswith("\n"), text.endswith("\n")

    assert [each.msgid for each in entries() for text in translations(each) if ends(text) != ends(each.msgid)] == []


def test_the_compiled_catalogue_is_this_one(tmp_path: Path) -> None:
    fresh = tmp_path / "django.mo"
    polib.pofile(str(CATALOGUE)).save_as_mofile(str(fresh))

    def pairs(path: Path) -> list[tuple[str, list[str]]]:
        return sorted((entry.msgid, translations(entry)) for entry in polib.mofile(str(path)))

    assert pairs(CATALOGUE.with_suffix(".mo")) == pairs(fresh)


def test_every_string_of_the_theme_has_chinese_from_django_or_from_us() -> None:
    theme = Path(unfold.__file__).parent
    strings = words.of_tree(theme, leave_out=["contrib"]) | words.of_tree(theme / "contrib" / "filters")
    ours = {entry.msgid for entry in entries()}
    root = Path(django.__file__).parent
    djangos = {
        entry.msgid
        for app in DJANGOS
        for entry in polib.mofile(str(root / app / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.mo"))
        if all(translations(entry))
    }
    assert strings - ours - djangos == set()


# --- finding the strings -------------------------------------------------------------------------------------------


def test_strings_are_found_in_modules_and_templates() -> None:
    module = (
        "from x import gettext as _\nA = _('one')\nB = ngettext_lazy('two', 'twos', 'n')\nC = x.gettext('th' 'ree')"
    )
    assert list(words.of_module(module)) == ["one", "two", "three"]
    template = (
        "{% load i18n %}{% translate 'one' %}{% trans \"it's two\" as t %}{{ x|default:_('three') }}"
        "{% blocktranslate with n=m %}{{ n }} in all{% endblocktranslate %}"
        "{% blocktranslate count n=m %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}"
    )
    assert list(words.of_template(template)) == ["one", "it's two", "three", "%(n)s in all", "%(n)s row"]


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_chinese(settings: Any) -> Iterator[None]:
    settings.LANGUAGE_CODE = "zh-hans"
    with translation.override("zh-hans"):
        yield


def visible(page: str) -> str:
    """Return the words of a page as a person reads them, one piece a line."""
    body = re.sub(r"<(script|style|title)\b.*?</\1>", " ", page, flags=re.DOTALL)
    # A symbol is written as the English name of its picture.
    body = re.sub(r"<span[^>]*material-symbols-outlined.*?</span>", " ", body, flags=re.DOTALL)
    told = re.findall(r'(?:placeholder|title|aria-label|data-label)="([^"]*)"', body)
    return unescape("\n".join([re.sub(r"<[^>]+>", "\n", body), *told]))


def english_in(page: str) -> list[str]:
    """Return the strings of the catalogue that stand untranslated on a page."""
    pieces = {" ".join(piece.split()).lower() for piece in visible(page).splitlines()}
    known = {entry.msgid.lower() for entry in entries() if entry.msgid not in translations(entry)}
    return sorted(pieces & known)


@pytest.mark.django_db
def test_no_page_of_the_desk_shows_an_english_string(in_chinese: None, admin: Client) -> None:
    rows = a_row_of_everything()
    job = factories.a_running_job(factories.a_template(rows["program"]))
    a_delivery(job, person=rows["person"], state=Delivery.State.FAILED, error_code=43101)
    draft = factories.a_job(rows["template"])
    waiting = factories.a_job(rows["template"])
    rows["program"].approval_threshold = 0
    rows["program"].save()
    Audience.objects.filter(name="Everybody").update(name="所有用户")
    waiting.refresh_from_db()
    jobs.submit(waiting, by=None)
    pages = [reverse("admin:index"), reverse("admin:jobs_sendjob_add"), reverse("admin:password_change")]
    pages += [f"{reverse(f'admin:subscriptions_{name}')}?days=28" for name in ("forecast", "scene_report")]
    pages += [f"{reverse('admin:jobs_sendjob_add')}?template={rows['template'].pk}"]
    pages += [reverse("admin:jobs_sendjob_change", args=[each.pk]) for each in (job, draft, waiting)]
    pages += [reverse("admin:jobs_sendjob_do", args=[waiting.pk, name]) for name in ("approve", "refuse", "cancel")]
    pages += [reverse("admin:subscriptions_subscriber_prompt", args=[rows["person"].pk])]
    for model in django_admin.site._registry:
        name = model._meta.label_lower.replace(".", "_")
        row: Any = model._default_manager.order_by("pk").first()
        pages += [reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=[row.pk])]
    english = {}
    for url in pages:
        response = admin.get(url)
        assert response.status_code == 200, url
        if found := english_in(response.content.decode()):
            english[url] = found
    assert english == {}


@pytest.mark.django_db
def test_the_login_speaks_chinese(in_chinese: None, client: Client) -> None:
    page = client.get(reverse("admin:login")).content.decode()
    assert english_in(page) == []
    assert "订阅消息平台" in page


def test_dates_are_written_as_in_a_table(in_chinese: None) -> None:
    moment = datetime(2026, 11, 23, 14, 5)
    assert formats.date_format(moment, "DATETIME_FORMAT") == "2026-11-23 14:05"
    assert formats.date_format(date(2026, 1, 2), "DATE_FORMAT") == "2026-01-02"
    assert formats.time_format(time(9, 5)) == "09:05"
    assert formats.get_format("FIRST_DAY_OF_WEEK") == 1
