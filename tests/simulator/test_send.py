from __future__ import annotations

from threading import Thread
from typing import Any

import pytest

from notify_platform.simulator.control import LedgerRow, SimulatorControl
from notify_platform.simulator.server import RunningSimulator
from tests.simulator.stage import (
    ANNA,
    APP,
    BEN,
    CARD,
    CHECKUP,
    GOOD,
    PICKUP,
    RETURN,
    ROOM,
    SEND,
    Api,
    app,
    said,
    template,
)


def counted(control: SimulatorControl) -> int:
    return control.counts(app_id=APP).counted


def balance(control: SimulatorControl, openid: str, template_id: str) -> int:
    return {(row.openid, row.template_id): row.balance for row in control.ledger(APP)}.get((openid, template_id), 0)


def test_a_message_lands_in_the_inbox_and_takes_one_unit(api: Api, control: SimulatorControl) -> None:
    document = api.send(page="pages/order?id=1", miniprogram_state="trial", lang="en_US")

    (message,) = control.inbox(APP, ANNA)
    del message["at"]
    assert message == {
        "openid": ANNA,
        "template_id": PICKUP,
        "data": {"character_string1": "A127", "thing2": "南山一店"},
        "page": "pages/order?id=1",
        "msgid": str(document["msgid"]),
        "miniprogram_state": "trial",
        "lang": "en_US",
    }
    assert control.ledger(APP) == [LedgerRow(ANNA, PICKUP, granted=2, counted=1, balance=1)]
    assert [tuple(row) for row in control.deliveries(APP)] == [
        (ANNA, PICKUP, str(document["msgid"]), "pages/order?id=1")
    ]


def test_two_units_are_two_messages_and_the_third_is_43101(api: Api, control: SimulatorControl) -> None:
    codes = [api.send()["errcode"] for _ in range(3)]

    assert codes == [0, 0, 43101]
    assert said(api.send()) == (43101, "user refuse to accept the msg")
    counts = control.counts(app_id=APP, template_id=PICKUP)
    assert (counts.requests, counts.counted, counts.refused_by_code) == (4, 2, {43101: 2})
    assert balance(control, ANNA, PICKUP) == 0


def test_each_message_has_its_own_msgid(api: Api) -> None:
    first, second = api.send()["msgid"], api.send()["msgid"]

    assert first < second


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"touser": "oNobody"}, 40003, "invalid openid"),
        ({"touser": None}, 40003, "invalid openid"),
        ({"touser": 7}, 40003, "invalid openid"),
        ({"template_id": "gone"}, 40037, "invalid template_id"),
        ({"template_id": None}, 40037, "invalid template_id"),
        ({"template_id": {}}, 40037, "invalid template_id"),
        ({"template_id": CARD}, 40037, "invalid template_id"),
        ({"miniprogram_state": "release"}, 47003, "argument invalid! miniprogram_state invalid"),
        ({"lang": "zh"}, 47003, "argument invalid! lang invalid"),
        ({"page": 3}, 41030, "invalid page"),
        ({"touser": BEN}, 43101, "user refuse to accept the msg"),
    ],
)
def test_a_refusal_changes_nothing(
    api: Api, control: SimulatorControl, *, changes: dict[str, Any], code: int, text: str
) -> None:
    before = control.ledger(APP)

    assert said(api.send(**changes)) == (code, text)

    rows = [row for row in control.ledger(APP) if row.granted]
    assert (counted(control), control.deliveries(APP), rows) == (0, [], before)


def test_pages_are_free_unless_the_published_ones_are_known(api: Api, control: SimulatorControl) -> None:
    assert api.send(page="pages/none")["errcode"] == 0
    control.setup(apps=[app(pages=["pages/order"])])

    assert said(api.send(page="pages/none?id=1")) == (41030, "invalid page")
    assert api.send(page="pages/order?id=1")["errcode"] == 0


def test_a_message_without_a_page_and_with_empty_words_is_accepted(api: Api) -> None:
    assert api.send(page="", miniprogram_state="", lang="")["errcode"] == 0


def test_43101_comes_before_47003(api: Api) -> None:
    assert api.send(touser=BEN, data={})["errcode"] == 43101


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({**GOOD, "thing2": {"value": ""}}, "data.thing2.value is empty"),
        ({**GOOD, "thing2": {"value": "  "}}, "data.thing2.value is empty"),
        ({**GOOD, "thing2": {"value": None}}, "data.thing2.value is empty"),
        ({**GOOD, "thing2": "南山一店"}, "data.thing2.value is empty"),
        ({"character_string1": GOOD["character_string1"]}, "data.thing2.value is empty"),
        ({**GOOD, "thing2": {"value": 12}}, "data.thing2.value invalid"),
        ({**GOOD, "thing2": {"value": "二" * 21}}, "data.thing2.value invalid"),
        ({**GOOD, "thing3": {"value": "too many"}}, "data.thing3.value invalid"),
        ({**GOOD, "thing2.DATA": {"value": "x"}}, "data.thing2.DATA.value invalid"),
        ("{}", "data.character_string1.value i"),
        (None, "data.character_string1.value i"),
        ({"character_string1": {"value": "中文"}, "thing2": {"value": ""}}, "data.character_string1.value i"),
    ],
)
def test_bad_data_is_47003_and_only_the_first_field_is_named(
    api: Api, control: SimulatorControl, data: object, text: str
) -> None:
    assert said(api.send(data=data)) == (47003, f"argument invalid! {text}")
    assert (counted(control), balance(control, ANNA, PICKUP)) == (0, 2)


@pytest.mark.parametrize(
    ("key", "value", "seen"),
    [
        ("thing1", "二" * 21, "argument invalid! data.thing1.value invalid"),
        ("thing1", "", "argument invalid! data.thing1.value is empty"),
        ("character_string1", "中文", "argument invalid! data.character_string1.value i"),
        ("character_string1", "", "argument invalid! data.character_string1.value i"),
        ("enum_string4", "", "argument invalid! data.enum_string4.value is emp"),
        ("enum_string4", "阳台", "argument invalid! data.enum_string4.value invali"),
        ("character_string10", "中文", "argument invalid! data.character_string10.value "),
        ("character_string10", "", "argument invalid! data.character_string10.value "),
        ("phone_number10", "电话", "argument invalid! data.phone_number10.value inva"),
    ],
)
def test_47003_is_cut_at_30_characters_as_seen_in_the_wild(
    api: Api, control: SimulatorControl, *, key: str, value: str, seen: str
) -> None:
    row = template(
        "T",
        "title",
        f"x:{{{{{key}.DATA}}}}",
        keywordEnumValueList=[{"enumValueList": ["客厅"], "keywordCode": "enum_string4.DATA"}],
    )
    control.setup(apps=[app(templates=[row])])
    control.add_users(APP, [{"openid": ANNA, "balances": {"T": 1}}])

    assert said(api.send(template_id="T", data={key: {"value": value}})) == (47003, seen)


def test_a_colour_inside_an_item_is_ignored(api: Api) -> None:
    assert api.send(data={**GOOD, "thing2": {"value": "x", "color": "#f00"}})["errcode"] == 0


def test_an_enumeration_takes_its_values_only(api: Api, control: SimulatorControl) -> None:
    control.add_users(APP, [{"openid": ANNA, "balances": {ROOM: 1}}])

    values = ["阳台", "客厅"]

    codes = [api.send(template_id=ROOM, data={"enum_string4": {"value": value}})["errcode"] for value in values]
    assert codes == [47003, 0]


def test_long_term_consent_is_a_switch(api: Api, control: SimulatorControl) -> None:
    control.add_users(APP, [{"openid": BEN, "long_term": [CHECKUP]}])
    data = {"date1": {"value": "2026-12-01"}}

    codes = [api.send(touser=BEN, template_id=CHECKUP, data=data)["errcode"] for _ in range(3)]

    assert codes == [0, 0, 0]
    assert [tuple(row) for row in control.ledger(APP) if row.openid == BEN] == [(BEN, CHECKUP, 1, 3, 1)]
    control.turn_off(APP, BEN, CHECKUP)
    assert api.send(touser=BEN, template_id=CHECKUP, data=data)["errcode"] == 43101


def test_the_main_switch_stops_messages_and_keeps_the_consent(api: Api, control: SimulatorControl) -> None:
    control.set_main_switch(APP, ANNA, on=False)
    refused = api.send()["errcode"]
    control.set_main_switch(APP, ANNA, on=True)

    assert (refused, api.send()["errcode"]) == (43101, 0)


def test_two_sends_to_one_user_at_once_are_43108(
    running: RunningSimulator, api: Api, control: SimulatorControl
) -> None:
    control.add_users(APP, [{"openid": BEN, "balances": {PICKUP: 1}}])
    control.set_faults([{"endpoint": SEND, "action": "delay", "delay_ms": 800, "limit": 1}])
    slow = Api(running.url)
    slow.token = api.token
    slow_replies: list[dict[str, Any]] = []
    thread = Thread(target=lambda: slow_replies.append(slow.send()))
    thread.start()
    while thread.is_alive() and control.health()["in_flight"] == 0:
        pass

    second, other_user = api.send(), api.send(touser=BEN)
    still_in_flight = control.health()["in_flight"]
    thread.join()
    slow.close()

    assert still_in_flight == 1
    assert said(second) == (43108, "Cannot make concurrent calls to the same OpenID, please try again")
    assert (other_user["errcode"], slow_replies[0]["errcode"], api.send()["errcode"]) == (0, 0, 0)


def test_the_daily_limit_ends_in_45009(api: Api, control: SimulatorControl) -> None:
    control.change_settings(daily_limit=2)

    assert [api.send(template_id="x")["errcode"] for _ in range(3)] == [40037, 40037, 45009]


def test_a_deleted_template_is_40037(api: Api) -> None:
    assert api.post("/wxaapi/newtmpl/deltemplate", {"priTmplId": PICKUP}) == {"errcode": 0, "errmsg": "ok"}

    assert api.send()["errcode"] == 40037


def test_doubles_are_counted_by_user_template_page_and_data(api: Api, control: SimulatorControl) -> None:
    control.add_users(APP, [{"openid": ANNA, "balances": {PICKUP: 3, RETURN: 1}}])
    for page in ("pages/a?nk=1", "pages/a?nk=2", "pages/a?nk=1"):
        api.send(page=page)
    api.send(page="pages/a?nk=1", data={**GOOD, "thing2": {"value": "another shop"}})

    assert (counted(control), control.counts(app_id=APP).doubles) == (4, 1)
