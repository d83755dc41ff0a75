"""Who works with one mini-program sees and does nothing of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from notify_platform.console import access
from notify_platform.console.desk.base import Limited
from notify_platform.core.models import AuditEvent, audit
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Grant, Scene, SceneTemplate, Visit
from templates_app.models import MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague, a_row_of_everything
from tests.console.test_pages import MODELS, list_url, page_url

# What belongs to no mini-program, and who may see it is a matter of permissions alone.
HOUSE_WIDE = {
    "auth.User",
    "auth.Group",
    "console.FailedLogin",
    "core.Bell",
    "core.DriverLease",
    "core.WorkerNode",
}
# What knows its mini-program by name alone.
BY_NAME = {"delivery.Pace"}


@pytest.fixture
def limited(db: None) -> User:
    """Somebody with every permission and one mini-program, which is not the one of the rows."""
    user = factories.a_user("limited", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    access.give(user, mini_programs=[factories.a_mini_program(name="Mine")], by=None)
    return User.objects.get(pk=user.pk)


def everything() -> dict[str, Any]:
    """Return all rows of all models of the platform, as they stand in the database."""
    models = [model for model in apps.get_models() if model._meta.label not in {"sessions.Session"}]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


def addresses(patterns: Any = None, prefix: str = "") -> Iterator[str]:
    """Yield every named address of the desk."""
    for each in get_resolver().url_patterns[0].url_patterns if patterns is None else patterns:
        if isinstance(each, URLResolver):
            yield from addresses(each.url_patterns, prefix + str(each.pattern))
        elif isinstance(each, URLPattern) and each.name:
            yield each.name


def of_rows() -> list[tuple[str, str]]:
    """Return the address of everything that is about one row, for the last row of its kind."""
    found = []
    for name in sorted(set(addresses())):
        for model in MODELS:
            kind = model._meta.label_lower.replace(".", "_")
            if not name.startswith(f"{kind}_") or name.endswith(("_changelist", "_add")):
                continue
            row: Any = model._default_manager.order_by("pk").last()
            for arguments in ([row.pk], [row.pk, "pause"], [row.pk, "approve"], [row.pk, "cancel"]):
                try:
                    found.append((reverse(f"admin:{name}", args=arguments), model._meta.label))
                except NoReverseMatch:
                    continue
    return found


# --- the rule ------------------------------------------------------------------------------------------------------


def test_every_kind_of_row_has_its_way_to_a_mini_program_or_is_house_wide() -> None:
    without = {model._meta.label for model in MODELS if not access.ways(model)}
    assert without == HOUSE_WIDE | BY_NAME
    assert (access.ways(Grant), access.ways(Visit)) == (("template__mini_program",), ("subscriber__mini_program",))
    assert access.ways(Variant) == ("job__mini_program", "trigger__mini_program")


def test_every_form_of_the_desk_offers_only_what_its_colleague_may_see() -> None:
    desks = django_admin.site._registry.values()
    inlines = [inline for desk in desks for inline in desk.inlines]
    assert [each for each in (*map(type, desks), *inlines) if not issubclass(each, Limited)] == []


@pytest.mark.django_db
def test_nobody_named_any_sees_all_and_an_administrator_sees_all_whatever_is_named(colleague: Colleague) -> None:
    one, other = factories.a_mini_program(), factories.a_mini_program()
    viewer, boss = colleague("viewer"), colleague(None)
    assert access.programs_of(viewer) is None
    for user in (viewer, boss):
        assert access.give(user, mini_programs=[one], by=None) is True
        assert access.give(user, mini_programs=[one], by=None) is False
    viewer, boss = User.objects.get(pk=viewer.pk), User.objects.get(pk=boss.pk)
    assert (access.programs_of(viewer), access.programs_of(boss)) == (frozenset({one.pk}), None)
    assert list(access.limit(MiniProgram.objects.all(), to=viewer)) == [one]
    assert set(access.limit(MiniProgram.objects.all(), to=boss)) == {one, other}


@pytest.mark.django_db
def test_words_of_a_trigger_and_words_of_a_job_are_seen_by_those_of_their_mini_program(colleague: Colleague) -> None:
    rows = a_row_of_everything()
    viewer = colleague("viewer")
    access.give(viewer, mini_programs=[rows["program"]], by=None)
    a_row_of_everything()
    viewer = User.objects.get(pk=viewer.pk)
    assert access.limit(Variant.objects.all(), to=viewer).count() == 2
    assert Variant.objects.count() == 4


# --- every address -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_no_address_of_another_mini_programs_row_opens_and_no_post_to_one_changes_anything(
    limited: User, at_desk: At
) -> None:
    a_row_of_everything()
    client = at_desk(limited)
    walked = [(url, label) for url, label in of_rows() if label not in HOUSE_WIDE]
    assert len(walked) > 80
    before = everything()
    opened = {}
    for url, _label in walked:
        answers = (client.get(url), client.post(url, {"post": "yes", "meant": "yes", "reason": "no"}))
        for answer in answers:
            # Django sends whoever asks for a row that is not there to the front page.
            gone = answer.status_code in (403, 404, 405) or answer.headers.get("Location") == reverse("admin:index")
            if not gone:
                opened[url] = answer.status_code
    assert opened == {}
    assert everything() == before


@pytest.mark.django_db
def test_no_list_shows_a_row_of_another_mini_program(limited: User, at_desk: At) -> None:
    rows = a_row_of_everything()
    mine = access.programs_of(limited)
    client = at_desk(limited)
    shown = {}
    for model in MODELS:
        if model._meta.label in HOUSE_WIDE:
            continue
        for query in ("", f"?q={rows['person'].openid}", f"?mini_program={rows['program'].pk}"):
            page = client.get(list_url(model) + query, follow=True)
            assert page.status_code == 200, model._meta.label
            found = [row for row in page.context["cl"].result_list if access.program_of(row) not in (mine or ())]
            if found:
                shown[list_url(model) + query] = found
    assert shown == {}


@pytest.mark.django_db
def test_the_paces_of_ones_own_mini_program_and_its_jobs_are_listed_alone(colleague: Colleague, at_desk: At) -> None:
    rows, engineer = a_row_of_everything(), colleague("engineer")
    other = a_row_of_everything()
    access.give(engineer, mini_programs=[rows["program"]], by=None)
    own = [f"app:{rows['program'].pk}", f"job:{rows['job'].pk}"]
    foreign = [f"app:{other['program'].pk}", f"job:{other['job'].pk}"]
    client = at_desk(User.objects.get(pk=engineer.pk))
    page = client.get(reverse("admin:delivery_pace_changelist"))
    assert [row.name for row in page.context["cl"].result_list] == own
    opened = [client.get(reverse("admin:delivery_pace_change", args=[name])).status_code for name in (*own, *foreign)]
    assert opened == [200, 200, 302, 302]


@pytest.mark.django_db
def test_pages_of_numbers_and_choices_name_no_other_mini_program(limited: User, at_desk: At) -> None:
    rows = a_row_of_everything()
    rows["program"].name = "Somebody else's"
    rows["program"].approval_threshold = 0
    rows["program"].save()
    SendJob.objects.filter(pk=rows["job"].pk).update(name="Secret job", state=SendJob.State.SUBMITTED)
    client = at_desk(limited)
    template, job = rows["template"].pk, rows["job"].pk
    names = ["index", "subscriptions_forecast", "subscriptions_scene_report", "jobs_sendjob_add", "api_apikey_add"]
    names += ["subscriptions_scene_add", "subscriptions_audience_add", "delivery_delivery_changelist"]
    pages = [reverse(f"admin:{name}") for name in names]
    pages += [f"{url}?mini_program={rows['program'].pk}&template={template}&job={job}" for url in pages]
    for url in pages:
        page = client.get(url, follow=True).content.decode()
        told = [word for word in ("Somebody else", "Secret job", rows["template"].title) if word in page]
        assert told == [], url


@pytest.mark.django_db
def test_an_action_on_a_list_reaches_no_row_of_another_mini_program(limited: User, at_desk: At) -> None:
    a_row_of_everything()
    client = at_desk(limited)
    before = everything()
    for model in MODELS:
        desk = django_admin.site._registry[model]
        if model._meta.label in HOUSE_WIDE:
            continue
        for name in (*[str(getattr(each, "__name__", each)) for each in desk.actions or ()], "delete_selected"):
            rows = list(model._default_manager.values_list("pk", flat=True))
            client.post(list_url(model), {"action": name, "_selected_action": rows, "post": "yes"})
    assert everything() == before


# --- forged forms --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_forged_form_puts_nothing_into_another_mini_program(limited: User, at_desk: At) -> None:
    rows = a_row_of_everything()
    client = at_desk(limited)
    (mine,) = access.programs_of(limited) or ()
    other, template = rows["program"].pk, rows["template"].pk
    scene = Scene.objects.create(mini_program_id=mine, code="mine", name="Mine")
    inline = {"asks-TOTAL_FORMS": 1, "asks-INITIAL_FORMS": 0, "asks-0-template": template, "asks-0-position": 1}
    before = everything()
    forged = [
        (reverse("admin:subscriptions_audience_add"), {"mini_program": other, "name": "A"}),
        (
            reverse("admin:subscriptions_scene_add"),
            {"mini_program": other, "code": "a", "name": "A", "asks-TOTAL_FORMS": 0, "asks-INITIAL_FORMS": 0},
        ),
        (page_url(scene), {"code": "mine", "name": "Mine", "is_active": "on", **inline}),
        (reverse("admin:api_apikey_add"), {"mini_program": other, "name": "K", "scopes": ["sessions"]}),
        (
            f"{reverse('admin:jobs_sendjob_add')}?template={template}",
            {
                "template": template,
                "name": "J",
                "purpose": "p",
                "audience": rows["job"].audience_id,
                "text_thing1": "x",
            },
        ),
        (reverse("admin:templates_app_miniprogram_add"), {"name": "New", "app_id": "wx0123456789abcdef"}),
    ]
    for url, data in forged:
        assert client.post(url, data).status_code in (200, 403), url
    assert everything() == before
    assert SceneTemplate.objects.filter(scene=scene).count() == 0


@pytest.mark.django_db
def test_the_audit_trail_is_read_within_ones_mini_programs(limited: User, at_desk: At) -> None:
    (mine,) = access.programs_of(limited) or ()
    audit(None, action="start", subject="job 1", mini_program=mine)
    audit(None, action="start", subject="job 2", mini_program=factories.a_mini_program().pk)
    audit(None, action="log_in", subject="user 1")
    page = at_desk(limited).get(list_url(AuditEvent))
    assert [row.subject for row in page.context["cl"].result_list] == ["job 1"]


# --- giving it -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_administrator_ticks_the_mini_programs_of_a_colleague(
    admin: Client, colleague: Colleague, at_desk: At
) -> None:
    rows = a_row_of_everything()
    viewer = colleague("viewer", name="vera")
    form = {"username": "vera", "is_active": "on", "is_staff": "on", "groups": [Group.objects.get(name="viewer").pk]}
    answer = admin.post(page_url(viewer), {**form, "mini_programs": [rows["program"].pk]})
    assert answer.status_code == 302
    assert access.programs_of(User.objects.get(pk=viewer.pk)) == frozenset({rows["program"].pk})
    row = AuditEvent.objects.get(action="give_access")
    assert (row.subject, row.detail) == (
        f"user {viewer.pk}",
        {"changes": {"mini_programs": ["", rows["program"].name]}},
    )
    assert at_desk(User.objects.get(pk=viewer.pk)).get(page_url(rows["job"])).status_code == 200
    admin.post(page_url(viewer), form)
    assert access.programs_of(User.objects.get(pk=viewer.pk)) is None


@pytest.mark.django_db
def test_nobody_but_an_administrator_touches_accounts(limited: User, at_desk: At) -> None:
    client = at_desk(limited)
    before = everything()
    for url in (
        page_url(limited),
        reverse("admin:auth_user_add"),
        reverse("admin:auth_user_delete", args=[limited.pk]),
    ):
        assert (client.get(url).status_code, client.post(url, {"is_superuser": "on"}).status_code) == (403, 403)
    assert everything() == before


@pytest.mark.django_db
def test_every_page_asks_once_for_the_mini_programs_of_its_colleague(limited: User, at_desk: At) -> None:
    client = at_desk(limited)
    client.get(list_url(SendJob))
    with CaptureQueriesContext(connection) as captured:
        client.get(list_url(SendJob))
    assert len([each for each in captured if "console_access" in each["sql"]]) == 1
