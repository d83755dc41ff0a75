"""What the phone page's ``wx`` endpoints do: users, the popup, what is kept, the settings page, the cards."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from notify_platform.simulator.control import ControlError, SimulatorControl
from tests.simulator.browsing import Browser
from tests.simulator.platform_api import FakePlatform
from tests.simulator.stage import (
    ANNA,
    APP,
    BEN,
    CARD,
    CHECKUP,
    PICKUP,
    PICKUP_TWIN,
    RETURN,
    ROOM,
    SECRET,
    Api,
    Receiver,
    app,
)

OK = {"errMsg": "requestSubscribeMessage:ok"}


def balances(control: SimulatorControl, openid: str = ANNA) -> dict[str, int]:
    return {row.template_id: row.balance for row in control.ledger(APP) if row.openid == openid}


# --- the mini-programs and their users --------------------------------------------------------------------------------


def test_the_phone_knows_the_app_its_scenes_and_its_templates(browser: Browser, fake: FakePlatform) -> None:
    status, document = browser.wx("GET", "apps")

    templates = document["apps"][0].pop("templates")
    assert (status, document["apps"]) == (
        200,
        [
            {
                "app_id": APP,
                "name": "鲜果到家",
                "api_url": fake.url,
                "scenes": [{"code": "paid", "name": "支付成功页"}, {"code": "borrowed", "name": "borrowed"}],
            }
        ],
    )
    assert templates[0] == {
        "template_id": PICKUP,
        "title": "取餐提醒",
        "kind": "one_time",
        "lines": [{"label": "取餐码", "value": ""}, {"label": "门店", "value": ""}],
    }


def test_an_example_is_told_with_its_label(browser: Browser, control: SimulatorControl) -> None:
    row = {
        "priTmplId": "t1",
        "title": "x",
        "content": "门店:{{thing1.DATA}}\n",
        "example": "门店:南山:一店\n",
        "type": 2,
    }
    control.setup(apps=[{"app_id": "wx2", "secret": "s", "templates": [row]}])

    other = browser.wx("GET", "apps")[1]["apps"][1]

    assert (other["name"], other["api_url"], other["scenes"]) == ("wx2", "", [])
    assert other["templates"][0]["lines"] == [{"label": "门店", "value": "南山:一店"}]


def test_setup_again_changes_what_the_phone_knows(browser: Browser, control: SimulatorControl) -> None:
    control.setup(apps=[app(name="别的店", api_url="http://127.0.0.1:1/base/")])

    found = browser.wx("GET", "apps")[1]["apps"][0]

    assert (found["name"], found["api_url"], found["scenes"]) == ("别的店", "http://127.0.0.1:1/base", [])


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "http://", "http://x/?a=1", "http://x/#a"])
def test_a_platform_has_an_http_address(control: SimulatorControl, url: str) -> None:
    with pytest.raises(ControlError) as refusal:
        control.setup(apps=[app(api_url=url)])

    assert str(refusal.value) == f"api_url is an address like http://127.0.0.1:8000, not {url!r}"


def test_users_are_found_by_the_beginning_of_their_openid(browser: Browser, control: SimulatorControl) -> None:
    control.add_users(APP, [{"openid": f"oMany{n:03d}"} for n in range(40)])
    control.popup(APP, "oMany007", {PICKUP: "accept"})

    many = browser.wx("GET", "users", prefix="oMany")[1]
    none = browser.wx("GET", "users", prefix="omany")[1]

    assert (many["total"], len(many["users"]), none) == (40, 30, {"total": 0, "users": []})
    assert many["users"][0].pop("visited_at") > 0
    assert many["users"][0] == {"openid": "oMany007", "cards": 0, "main_switch": True}


def test_a_new_user_has_an_openid_of_wechats_shape_and_can_log_in(api: Api, browser: Browser) -> None:
    openid = browser.wx("POST", "users")[1]["openid"]

    assert re.fullmatch(r"o[A-Za-z0-9_-]{27}", openid)
    status, login = browser.wx("POST", "login", openid)
    assert (status, login.pop("errMsg"), list(login)) == (200, "login:ok", ["code"])
    query = {"appid": APP, "secret": SECRET, "js_code": login["code"], "grant_type": "authorization_code"}
    assert api.get("/sns/jscode2session", **query)["openid"] == openid


@pytest.mark.parametrize(
    ("method", "verb", "given", "expected"),
    [
        ("POST", "nothing", {}, (404, "not_found")),
        ("GET", "login", {}, (404, "not_found")),
        ("POST", "login", {"app_id": "wx3"}, (404, "no_app")),
        ("POST", "login", {"openid": ""}, (400, "invalid")),
        ("GET", "inbox", {"openid": "oNobody"}, (404, "no_user")),
        ("POST", "main_switch", {"openid": ["x"], "on": False}, (404, "no_user")),
        ("POST", "main_switch", {}, (400, "missing")),
        ("POST", "turn_off", {}, (400, "missing")),
        ("POST", "turn_off", {"template_id": "gone"}, (400, "invalid")),
        ("POST", "requestSubscribeMessage", {"tmplIds": PICKUP}, (400, "invalid")),
        ("POST", "requestSubscribeMessage", {"tmplIds": [1]}, (400, "invalid")),
        ("POST", "answer", {"tmplIds": [PICKUP], "answers": []}, (400, "invalid")),
        ("POST", "answer", {"tmplIds": [PICKUP], "answers": {PICKUP: "maybe"}}, (400, "invalid")),
        ("POST", "answer", {"tmplIds": [PICKUP], "answers": {}}, (400, "invalid")),
        ("POST", "answer", {"tmplIds": [PICKUP], "answers": {PICKUP: "accept", RETURN: "accept"}}, (400, "invalid")),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    browser: Browser,
    control: SimulatorControl,
    method: str,
    verb: str,
    given: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    status, document = browser.wx(method, verb, **{"openid": ANNA, **given})

    assert (status, document["error"]["code"]) == expected
    assert (balances(control), control.counts().pushes.tries) == ({PICKUP: 2}, 0)


def test_bodies_are_json_objects_of_a_sensible_size(browser: Browser) -> None:
    broken = browser.ask("POST", "/phone/wx/login", b"[")
    large = browser.ask("POST", "/phone/wx/login", b"{" + b" " * 65_536 + b"}")
    larger = browser.ask("POST", "/phone/api/v1/visits", b" " * 65_537, {"X-App-Id": APP})

    assert [json.loads(each[2])["error"]["code"] for each in (broken, large, larger)] == [
        "invalid",
        "too_large",
        "too_large",
    ]
    assert [each[0] for each in (broken, large, larger)] == [400, 413, 413]


# --- the popup --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pushing(control: SimulatorControl, browser: Browser, fake: FakePlatform, receiver: Receiver) -> Receiver:
    control.setup(apps=[app(api_url=fake.url, callback_url=receiver.url)], settings={"push_retry_ms": 0})
    return receiver


def request(browser: Browser, *template_ids: str, openid: str = BEN) -> dict[str, Any]:
    return browser.wx("POST", "requestSubscribeMessage", openid, tmplIds=list(template_ids))[1]


def answer(
    browser: Browser, answers: dict[str, str], *, keep: bool = False, ids: list[str] | None = None
) -> dict[str, Any]:
    return browser.wx("POST", "answer", BEN, tmplIds=ids or list(answers), answers=answers, keep=keep)[1]


def pushed(receiver: Receiver) -> tuple[str, object]:
    document = json.loads(receiver.next().body)
    return document["Event"], document["List"]


def test_asking_changes_nothing_and_answering_counts_and_pushes(
    browser: Browser, control: SimulatorControl, pushing: Receiver
) -> None:
    assert request(browser, PICKUP, RETURN) == {"popup": [PICKUP, RETURN]}
    assert balances(control, BEN) == {}

    assert answer(browser, {PICKUP: "accept", RETURN: "reject"}) == {**OK, PICKUP: "accept", RETURN: "reject"}

    assert balances(control, BEN) == {PICKUP: 1, RETURN: 0}
    assert pushed(pushing) == (
        "subscribe_msg_popup_event",
        [
            {"TemplateId": PICKUP, "SubscribeStatusString": "accept", "PopupScene": "0"},
            {"TemplateId": RETURN, "SubscribeStatusString": "reject", "PopupScene": "0"},
        ],
    )


def test_a_title_is_asked_once(browser: Browser, control: SimulatorControl) -> None:
    assert request(browser, PICKUP, PICKUP_TWIN) == {"popup": [PICKUP]}

    result = answer(browser, {PICKUP: "accept"}, ids=[PICKUP, PICKUP_TWIN])

    assert result == {**OK, PICKUP: "accept", PICKUP_TWIN: "filter"}
    assert balances(control, BEN) == {PICKUP: 1}


@pytest.mark.parametrize("word", ["accept", "reject"])
def test_a_choice_that_is_kept_is_the_answer_next_time(
    browser: Browser, control: SimulatorControl, pushing: Receiver, word: str
) -> None:
    answer(browser, {PICKUP: word}, keep=True)
    assert control.wait_for_pushes()

    assert request(browser, PICKUP) == {**OK, PICKUP: word}

    assert balances(control, BEN) == {PICKUP: 2 if word == "accept" else 0}
    assert control.counts(app_id=APP).pushes.tries == 1
    setting = browser.wx("GET", "getSetting", BEN)[1]
    assert setting["subscriptionsSetting"] == {"mainSwitch": True, "itemSettings": {PICKUP: word}}


def test_the_popup_asks_for_what_is_not_kept(browser: Browser, control: SimulatorControl) -> None:
    answer(browser, {PICKUP: "accept"}, keep=True)

    assert request(browser, PICKUP, RETURN) == {"popup": [RETURN]}
    result = answer(browser, {RETURN: "reject"}, ids=[PICKUP, RETURN])

    assert result == {**OK, PICKUP: "accept", RETURN: "reject"}
    assert balances(control, BEN) == {PICKUP: 2, RETURN: 0}


def test_without_a_tick_nothing_is_kept(browser: Browser) -> None:
    answer(browser, {PICKUP: "accept"})

    assert request(browser, PICKUP) == {"popup": [PICKUP]}
    assert browser.wx("GET", "getSetting", BEN)[1] == {
        "errMsg": "getSetting:ok",
        "authSetting": {},
        "subscriptionsSetting": {"mainSwitch": True},
    }


def test_an_answer_from_elsewhere_ends_what_was_kept(browser: Browser, control: SimulatorControl) -> None:
    answer(browser, {PICKUP: "reject"}, keep=True)

    control.popup(APP, BEN, {PICKUP: "accept"})

    assert request(browser, PICKUP) == {"popup": [PICKUP]}


@pytest.mark.parametrize(
    ("template_ids", "code"),
    [
        ([], 10001),
        (["gone"], 20001),
        ([CARD], 20001),
        ([PICKUP, CHECKUP], 20002),
        ([PICKUP, RETURN, ROOM, "a", "b", "c"], 20003),
    ],
)
def test_a_popup_that_cannot_be_shown_fails_with_wechats_code(
    browser: Browser, control: SimulatorControl, template_ids: list[str], code: int
) -> None:
    expected = control.popup(APP, BEN, dict.fromkeys(template_ids, "accept"))

    assert request(browser, *template_ids) == expected
    assert expected["errCode"] == code


def test_the_main_switch_is_told_before_and_after_the_popup(browser: Browser, control: SimulatorControl) -> None:
    off = {"errMsg": "requestSubscribeMessage:fail The main switch is switched off", "errCode": 20004}
    assert browser.wx("POST", "main_switch", BEN, on=False) == (200, {})

    assert request(browser, PICKUP) == off
    assert answer(browser, {PICKUP: "accept"}, keep=True) == off
    assert balances(control, BEN) == {}

    browser.wx("POST", "main_switch", BEN, on=True)
    assert request(browser, PICKUP) == {"popup": [PICKUP]}


# --- settings and cards -----------------------------------------------------------------------------------------------


def shown(template_id: str, title: str, **changes: Any) -> dict[str, Any]:
    return {"template_id": template_id, "title": title, "kind": "one_time", "is_on": True, "is_kept": False, **changes}


def test_the_settings_show_what_was_ever_answered(browser: Browser) -> None:
    assert browser.wx("GET", "settings", BEN)[1] == {"main_switch": True, "templates": []}

    answer(browser, {RETURN: "reject"}, keep=True)
    answer(browser, {PICKUP: "accept"})

    expected = [shown(PICKUP, "取餐提醒"), shown(RETURN, "还书提醒", is_on=False, is_kept=True)]
    assert browser.wx("GET", "settings", BEN)[1]["templates"] == expected


def test_turning_off_voids_pushes_and_is_not_asked_again(
    api: Api, browser: Browser, control: SimulatorControl, pushing: Receiver
) -> None:
    assert browser.wx("POST", "turn_off", template_id=PICKUP) == (200, {})

    assert pushed(pushing) == ("subscribe_msg_change_event", {"TemplateId": PICKUP, "SubscribeStatusString": "reject"})
    assert balances(control) == {PICKUP: 0}
    assert api.send()["errcode"] == 43101
    assert request(browser, PICKUP, openid=ANNA) == {**OK, PICKUP: "reject"}


def test_turning_on_again_brings_nothing_back_but_may_be_asked(
    browser: Browser, control: SimulatorControl, pushing: Receiver
) -> None:
    browser.wx("POST", "turn_off", template_id=PICKUP)
    pushing.next()

    assert browser.wx("POST", "turn_on", template_id=PICKUP) == (200, {})

    assert control.wait_for_pushes()
    assert (balances(control), control.counts(app_id=APP).pushes.tries) == ({PICKUP: 0}, 1)
    assert request(browser, PICKUP, openid=ANNA) == {"popup": [PICKUP]}


def test_a_card_has_title_labels_and_page(api: Api, browser: Browser) -> None:
    msgid = api.send(page="pages/order?id=1&nk=2a.tag", lang="en_US", miniprogram_state="trial")["msgid"]

    status, inbox = browser.wx("GET", "inbox")

    assert inbox["cards"][0].pop("at") > 0
    assert (status, inbox) == (
        200,
        {
            "total": 1,
            "cards": [
                {
                    "msgid": str(msgid),
                    "template_id": PICKUP,
                    "title": "取餐提醒",
                    "lines": [{"label": "取餐码", "value": "A127"}, {"label": "门店", "value": "南山一店"}],
                    "page": "pages/order?id=1&nk=2a.tag",
                    "miniprogram_state": "trial",
                    "lang": "en_US",
                }
            ],
        },
    )


def test_a_card_outlives_its_template(api: Api, browser: Browser, control: SimulatorControl) -> None:
    api.send()

    control.setup(apps=[app(templates=[])])

    card = browser.wx("GET", "inbox")[1]["cards"][0]
    assert (card["title"], card["lines"][0]) == ("", {"label": "", "value": "A127"})


def test_the_newest_fifty_cards_are_shown(api: Api, browser: Browser, control: SimulatorControl) -> None:
    control.add_users(APP, [{"openid": ANNA, "balances": {PICKUP: 60}}])
    msgids = [str(api.send()["msgid"]) for _ in range(55)]

    inbox = browser.wx("GET", "inbox")[1]

    assert (inbox["total"], [card["msgid"] for card in inbox["cards"]]) == (55, msgids[5:])
