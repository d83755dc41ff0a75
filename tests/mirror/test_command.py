"""``manage.py sync_templates``: counts, reasons, and what to do next when it fails."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from templates_app.models import MessageTemplate
from tests import factories
from tests.mirror.conftest import PICKUP

pytestmark = pytest.mark.django_db
LIST = "/wxaapi/newtmpl/gettemplate"


def run(*args: str) -> str:
    out = StringIO()
    call_command("sync_templates", *args, stdout=out)
    return out.getvalue()


def test_it_prints_the_counts(mini_program, wechat_lists) -> None:
    assert run() == "Shop (wxba5fad812f8e6fb9): 3 added, 0 changed, 0 unchanged, 0 gone at WeChat.\n"
    wechat_lists(PICKUP | {"title": "取餐通知"})
    assert run() == "Shop (wxba5fad812f8e6fb9): 0 added, 1 changed, 0 unchanged, 2 gone at WeChat.\n"


def test_it_names_the_rows_it_left_alone_and_why(mini_program, wechat_lists) -> None:
    wechat_lists(PICKUP, PICKUP | {"priTmplId": "ODD_0000000000000000000000000000000000000_D", "type": 9})

    assert run() == (
        "Shop (wxba5fad812f8e6fb9): 1 added, 0 changed, 0 unchanged, 0 gone at WeChat.\n"
        "  left alone: ODD_0000000000000000000000000000000000000_D. "
        "Its type 9 is neither 2 (one-time) nor 3 (long-term).\n"
    )


def test_app_id_chooses_one_of_several(mini_program, wechat_lists) -> None:
    other = factories.a_mini_program()
    wechat_lists(PICKUP, of=other)

    assert run("--app-id", mini_program.app_id).startswith("Shop (wxba5fad812f8e6fb9): 3 added")
    assert MessageTemplate.objects.filter(mini_program=other).count() == 0


@pytest.mark.parametrize("arguments", [[], ["--app-id", "wx0000000000000000"]])
def test_without_such_a_mini_program_it_says_what_to_do(db: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError) as refusal:
        run(*arguments)
    assert str(refusal.value) == ("There is no such mini-program. Add it at the desk, with its app id and app secret.")


def test_a_wrong_secret_is_told_with_the_next_step_and_the_others_are_synced(mini_program, wechat_lists) -> None:
    other = factories.a_mini_program(name="Other", app_id="wx00000000000000ff")
    wechat_lists(PICKUP, of=other)
    mini_program.app_secret = "wrong"
    mini_program.save()

    with pytest.raises(CommandError) as refusal:
        run()

    sentence = str(refusal.value).partition(" rid:")[0]
    assert sentence == (
        "Shop (wxba5fad812f8e6fb9): The app secret is wrong; it may have been reset in WeChat's console. "
        "Enter the current app secret, then resume. (40125: invalid appsecret"
    )
    assert refusal.value.returncode == 1
    assert list(MessageTemplate.objects.values_list("mini_program__name", "title")) == [("Other", "取餐提醒")]


def test_an_unreachable_wechat_is_told_with_the_next_step(mini_program, settings) -> None:
    settings.WECHAT_API_BASE_URL = "http://127.0.0.1:9"

    with pytest.raises(CommandError) as refusal:
        run()

    assert str(refusal.value) == (
        "Shop (wxba5fad812f8e6fb9): WeChat did not answer "
        "(ConnectionError: ConnectionRefusedError: Connection refused). "
        "Check the network, the proxy and WECHAT_API_BASE_URL, then try again."
    )
    assert MessageTemplate.objects.count() == 0
