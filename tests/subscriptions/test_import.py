"""Existing consent from a file: all of it or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from notify_platform.core.errors import Refused
from subscriptions.grants import importing
from subscriptions.grants.importing import import_consent
from subscriptions.models import Answer, Grant, Subscriber
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


def write(tmp_path, text, *, encoding="utf-8"):
    path = tmp_path / "consents.csv"
    path.write_bytes(text.encode(encoding))
    return path


def nothing_written():
    return (Subscriber.objects.count(), Answer.objects.count(), Grant.objects.count()) == (0, 0, 0)


def test_people_and_units_of_a_file_are_in_the_books(tmp_path, template):
    first, second = factories.an_openid(), factories.an_openid()
    path = write(
        tmp_path,
        "openid,template_id,count,granted_at\n"
        f"{first},{template.wechat_id},3,2026-11-20 09:30\n"
        f"{second},{template.wechat_id},,\n",
    )

    result = import_consent(template.mini_program, path=path)

    assert (result.lines, result.units) == (2, 4)
    rows = Grant.objects.filter(subscriber__openid=first).values_list("granted_at", flat=True)
    assert list(rows) == [datetime(2026, 11, 20, 1, 30, tzinfo=UTC)] * 3


def test_the_same_file_twice_adds_nothing(tmp_path, template):
    path = write(tmp_path, f"openid,template_id\n{factories.an_openid()},{template.wechat_id}\n")
    import_consent(template.mini_program, path=path)

    assert import_consent(template.mini_program, path=path).units == 0
    assert Grant.objects.count() == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_spreadsheet_encodings_are_read(tmp_path, template, encoding):
    text = f"openid,template_id,备注\n{factories.an_openid()},{template.wechat_id},老用户\n"

    assert import_consent(template.mini_program, path=write(tmp_path, text, encoding=encoding)).units == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not an openid,{id},1,", "that is not an openid"),
        ("{openid},T-foreign,1,", "this mini-program has no template “T-foreign”"),
        ("{openid},{id},0,", "the count must be a number from 1 to 100"),
        ("{openid},{id},１,", "the count must be a number from 1 to 100"),
        ("{openid},{id},1,yesterday", "the date must look like 2026-11-23 or 2026-11-23 14:05"),
        ("{openid},{id},1,2026-02-30", "the date must look like 2026-11-23 or 2026-11-23 14:05"),
        ("{openid},{id},1,2099-01-01", "the date lies in the future"),
        ("{openid},{id},1,9999-12-31 23:59:59-12:00", "the date lies in the future"),
        ("{openid},{id},1,2019-08-31", "there were no subscription messages before 2019-09-01"),
        ("{openid},{id},1,0001-01-01", "there were no subscription messages before 2019-09-01"),
        ("{openid},{id},1,0001-01-01 00:00+14:00", "there were no subscription messages before 2019-09-01"),
        ("{openid},{id}," + "9" * 5000 + ",", "the count must be a number from 1 to 100"),
    ],
)
def test_one_wrong_line_and_nothing_is_imported(tmp_path, template, line, problem):
    good = f"{factories.an_openid()},{template.wechat_id},1,\n"
    bad = line.format(openid=factories.an_openid(), id=template.wechat_id)
    path = write(tmp_path, "openid,template_id,count,granted_at\n" + good + bad + "\n")

    with pytest.raises(Refused) as refused:
        import_consent(template.mini_program, path=path)

    assert refused.value.message == f"Nothing was imported. Wrong lines: 1\nline 3: {problem}"
    assert nothing_written()


def test_a_wrong_line_far_behind_leaves_no_earlier_batch(tmp_path, template, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 2)
    lines = [f"{factories.an_openid()},{template.wechat_id},1," for _ in range(5)]
    lines.append(f"{factories.an_openid()},{template.wechat_id},1,0001-01-01")
    path = write(tmp_path, "\n".join(["openid,template_id,count,granted_at", *lines]))

    with pytest.raises(Refused):
        import_consent(template.mini_program, path=path)

    assert nothing_written()


def test_the_first_day_of_subscription_messages_is_taken_in_the_mini_programs_zone(tmp_path, template):
    path = write(tmp_path, f"openid,template_id,granted_at\n{factories.an_openid()},{template.wechat_id},2019-09-01\n")

    import_consent(template.mini_program, path=path)

    assert Answer.objects.get().answered_at == datetime(2019, 8, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize("header", ["x" * 200_000 + ",openid", "openid,template_id\n" + "x" * 200_000])
def test_a_file_with_a_field_beyond_reason_is_no_csv_file(tmp_path, template, header):
    with pytest.raises(Refused) as refused:
        import_consent(template.mini_program, path=write(tmp_path, header + "\n"))

    assert refused.value.code == "bad_file"
    assert refused.value.message == "This is not a CSV file: field larger than field limit (131072)."
    assert nothing_written()


def test_a_template_of_another_mini_program_is_refused(tmp_path, template):
    foreign = factories.a_template(factories.a_mini_program())
    path = write(tmp_path, f"openid,template_id\n{factories.an_openid()},{foreign.wechat_id}\n")

    with pytest.raises(Refused):
        import_consent(template.mini_program, path=path)
    assert nothing_written()


def test_a_file_without_the_columns_is_refused(tmp_path, template):
    with pytest.raises(Refused) as refused:
        import_consent(template.mini_program, path=write(tmp_path, "name,phone\nx,y\n"))

    assert refused.value.message == "The first line must name the columns; missing: openid, template_id."
    assert nothing_written()


def test_a_binary_file_is_refused(tmp_path, template):
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\xff\xff\xff")

    with pytest.raises(Refused):
        import_consent(template.mini_program, path=path)


def test_the_command_asks_which_mini_program_when_there_are_two(tmp_path, template):
    factories.a_mini_program()
    path = write(tmp_path, f"openid,template_id\n{factories.an_openid()},{template.wechat_id}\n")

    with pytest.raises(CommandError, match="--app-id"):
        call_command("import_consent", path)
    call_command("import_consent", path, app_id=template.mini_program.app_id)
    assert Grant.objects.count() == 1
