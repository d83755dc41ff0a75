"""Template sync over real HTTP: what WeChat lists arrives here, and nothing of ours is lost."""

from __future__ import annotations

import pytest

from notify_platform.core.models import Bell
from notify_platform.mirror.sync import sync
from notify_platform.wechat.gateway import WeChatRefused, WeChatUnreachable, gateway_for
from notify_platform.wechat.outcomes import Word
from notify_platform.wechat.transport import RequestsTransport
from templates_app.catalog import SnapshotReport
from templates_app.models import AccessToken, MessageTemplate, TemplateField
from tests import factories
from tests.mirror.conftest import CHECKUP, PICKUP, RETURN

pytestmark = pytest.mark.django_db
LIST, TOKEN = "/wxaapi/newtmpl/gettemplate", "/cgi-bin/stable_token"


def report(*, added: int = 0, changed: int = 0, unchanged: int = 0, missing: int = 0) -> SnapshotReport:
    return SnapshotReport(added=added, changed=changed, unchanged=unchanged, missing=missing, skipped=())


def states() -> dict[str, str]:
    return dict(MessageTemplate.objects.values_list("title", "state"))


def everything() -> list[list[dict[str, object]]]:
    return [list(model.objects.order_by("pk").values()) for model in (MessageTemplate, TemplateField)]


def test_everything_wechat_lists_is_added_with_its_fields(mini_program, wechat_lists) -> None:
    assert sync(mini_program) == report(added=3)

    rows = MessageTemplate.objects.order_by("pk").values_list("wechat_id", "title", "kind", "state")
    assert list(rows) == [
        (PICKUP["priTmplId"], "取餐提醒", "one_time", "live"),
        (RETURN["priTmplId"], "还书提醒", "one_time", "live"),
        (CHECKUP["priTmplId"], "复诊提醒", "long_term", "live"),
    ]
    fields = TemplateField.objects.filter(template__wechat_id=PICKUP["priTmplId"])
    assert list(fields.order_by("position").values_list("key", "label", "example")) == [
        ("character_string1", "取餐码", "A127"),
        ("thing2", "门店", "南山一店"),
    ]


def test_a_second_sync_changes_nothing_but_the_moment(mini_program, wechat_lists) -> None:
    sync(mini_program)
    first = list(MessageTemplate.objects.order_by("pk").values_list("synced_at", flat=True))

    assert sync(mini_program) == report(unchanged=3)

    second = list(MessageTemplate.objects.order_by("pk").values_list("synced_at", flat=True))
    assert all(later > earlier for later, earlier in zip(second, first, strict=True))


def test_a_new_a_changed_and_a_missing_template_are_told_apart_and_nothing_is_deleted(
    mini_program, wechat_lists
) -> None:
    sync(mini_program)
    wechat_lists(PICKUP | {"title": "取餐通知"}, CHECKUP)
    assert sync(mini_program) == report(changed=1, unchanged=1, missing=1)
    assert states() == {"取餐通知": "live", "还书提醒": "missing", "复诊提醒": "live"}
    assert TemplateField.objects.filter(template__title="还书提醒").count() == 1

    wechat_lists(PICKUP | {"title": "取餐通知"}, CHECKUP, RETURN)
    assert sync(mini_program) == report(changed=1, unchanged=2)
    assert states() == {"取餐通知": "live", "还书提醒": "live", "复诊提醒": "live"}


def test_an_empty_list_marks_all_as_missing_and_deletes_none(mini_program, wechat_lists) -> None:
    sync(mini_program)
    wechat_lists()

    assert sync(mini_program) == report(missing=3)
    assert states() == {"取餐提醒": "missing", "还书提醒": "missing", "复诊提醒": "missing"}


def test_templates_of_another_mini_program_are_left_alone(mini_program, wechat_lists) -> None:
    other = factories.a_template(factories.a_mini_program(), title="发货通知")
    wechat_lists()

    assert sync(mini_program) == report()
    assert states() == {other.title: "live"}


def test_a_token_that_wechat_refuses_is_fetched_afresh_once(mini_program, wechat, wechat_lists) -> None:
    sync(mini_program)
    AccessToken.objects.update(token="77_" + "x" * 128)

    assert sync(mini_program) == report(unchanged=3)
    calls = wechat.counts().calls
    assert (calls[LIST], calls[TOKEN]) == (3, 2)


def test_a_token_refused_twice_is_a_refusal_and_nothing_changes(mini_program, wechat, wechat_lists) -> None:
    sync(mini_program)
    before = everything()
    wechat_lists()
    wechat.set_faults([{"endpoint": LIST, "action": "code", "code": 42001}])

    with pytest.raises(WeChatRefused) as refusal:
        sync(mini_program)

    assert (refusal.value.code, refusal.value.word) == (42001, Word.TOKEN)
    assert wechat.counts().calls[LIST] == 3
    assert everything() == before


def test_any_other_refusal_is_not_tried_again(mini_program, wechat, wechat_lists) -> None:
    wechat.set_faults([{"endpoint": LIST, "action": "code", "code": 45009}])

    with pytest.raises(WeChatRefused) as refusal:
        sync(mini_program)

    assert refusal.value.word is Word.DAILY_LIMIT
    assert wechat.counts().calls[LIST] == 1
    assert everything() == [[], []]


@pytest.mark.parametrize("action", ["reset_before", "status_before", "garbage"])
def test_no_readable_answer_changes_nothing(mini_program, wechat, wechat_lists, action: str) -> None:
    sync(mini_program)
    before = everything()
    wechat_lists()
    wechat.set_faults([{"endpoint": LIST, "action": action}])

    with pytest.raises(WeChatUnreachable):
        sync(mini_program)
    assert everything() == before


def test_new_templates_ring_for_the_pushes_that_wait_for_them_and_nothing_else_does(mini_program, wechat_lists) -> None:
    bells = Bell.objects.filter(name=f"unmatched:{mini_program.pk}")
    sync(mini_program)
    assert bells.count() == 1

    bells.delete()
    sync(mini_program)
    assert bells.count() == 0


class Closings:
    """Counts how often a transport is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        really_close = RequestsTransport.close

        def close(transport: RequestsTransport) -> None:
            self.count += 1
            really_close(transport)

        monkeypatch.setattr(RequestsTransport, "close", close)


def test_a_gateway_of_its_own_is_closed_even_after_a_failure(mini_program, wechat, wechat_lists, monkeypatch) -> None:
    closings = Closings(monkeypatch)
    sync(mini_program)
    wechat.set_faults([{"endpoint": LIST, "action": "code", "code": 45009}])
    with pytest.raises(WeChatRefused):
        sync(mini_program)
    assert closings.count == 2


def test_a_gateway_that_was_lent_stays_open(mini_program, wechat_lists, monkeypatch) -> None:
    closings = Closings(monkeypatch)
    lent = gateway_for(mini_program)
    assert sync(mini_program, gateway=lent) == report(added=3)
    assert closings.count == 0
    lent.close()
