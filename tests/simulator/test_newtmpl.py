from __future__ import annotations

from typing import Any

import pytest

from notify_platform.simulator.control import SimulatorControl
from tests.simulator.stage import ANNA, APP, TEMPLATES, Api, app, said, template

NEWTMPL = "/wxaapi/newtmpl/"
ADD = f"{NEWTMPL}addtemplate"


def test_gettemplate_lists_the_rows_of_the_setup_as_wechat_writes_them(api: Api) -> None:
    rows = [{name: value for name, value in row.items() if name != "kind"} for row in TEMPLATES]

    assert api.get(f"{NEWTMPL}gettemplate") == {"errcode": 0, "errmsg": "ok", "data": rows}


def test_categories_titles_and_keywords_lead_to_a_template(api: Api, control: SimulatorControl) -> None:
    (category, _) = api.get(f"{NEWTMPL}getcategory")["data"]
    titles = api.get(f"{NEWTMPL}getpubtemplatetitles", ids=str(category["id"]), start="0", limit="30")
    title = titles["data"][1]
    keywords = api.get(f"{NEWTMPL}getpubtemplatekeywords", tid=str(title["tid"]))
    kids = [keyword["kid"] for keyword in keywords["data"]][:2]

    added = api.post(ADD, {"tid": str(title["tid"]), "kidList": kids[::-1], "sceneDesc": "到店取餐"})

    assert (titles["count"], keywords["count"]) == (len(titles["data"]), len(keywords["data"]))
    assert (added["errcode"], len(added["priTmplId"])) == (0, 43)
    row = api.get(f"{NEWTMPL}gettemplate")["data"][-1]
    lines = [f"{each['name']}:{{{{{each['rule']}{each['kid']}.DATA}}}}" for each in keywords["data"][1::-1]]
    assert row == {
        "priTmplId": added["priTmplId"],
        "title": title["title"],
        "content": "".join(f"{line}\n" for line in lines),
        "example": "".join(f"{each['name']}:{each['example']}\n" for each in keywords["data"][1::-1]),
        "type": 2,
    }
    control.add_users(APP, [{"openid": ANNA, "balances": {added["priTmplId"]: 1}}])
    data = {f"{each['rule']}{each['kid']}": {"value": each["example"]} for each in keywords["data"][:2]}
    assert api.send(template_id=added["priTmplId"], data=data)["errcode"] == 0


@pytest.mark.parametrize("tid", ["1101", "1102", "1103"])
def test_the_examples_of_the_library_obey_the_rules(api: Api, control: SimulatorControl, tid: str) -> None:
    keywords = api.get(f"{NEWTMPL}getpubtemplatekeywords", tid=tid)["data"]
    kids = [keyword["kid"] for keyword in keywords]
    added = api.post(ADD, {"tid": tid, "kidList": kids, "sceneDesc": "试一试"})["priTmplId"]
    control.popup(APP, ANNA, {added: "accept"})

    data = {f"{each['rule']}{each['kid']}": {"value": each["example"]} for each in keywords}

    assert api.send(template_id=added, data=data)["errcode"] == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"tid": "1101", "kidList": [1], "sceneDesc": "x"}, 200020),
        ({"tid": "1101", "kidList": [1, 2, 3, 4, 5, 6], "sceneDesc": "x"}, 200020),
        ({"tid": "1101", "kidList": [1, 99], "sceneDesc": "x"}, 200020),
        ({"tid": "1101", "kidList": [1, 1], "sceneDesc": "x"}, 200020),
        ({"tid": "1101", "kidList": ["1", "2"], "sceneDesc": "x"}, 200020),
        ({"tid": "1101", "sceneDesc": "x"}, 200020),
        ({"tid": "9", "kidList": [1, 2], "sceneDesc": "x"}, 200014),
        ({"kidList": [1, 2], "sceneDesc": "x"}, 200014),
        ({"tid": "1101", "kidList": [1, 2]}, 200021),
        ({"tid": "1101", "kidList": [1, 2], "sceneDesc": "十" * 16}, 200021),
    ],
)
def test_a_template_that_cannot_be_added_is_refused(api: Api, body: dict[str, Any], code: int) -> None:
    assert api.post(ADD, body)["errcode"] == code
    assert len(api.get(f"{NEWTMPL}gettemplate")["data"]) == len(TEMPLATES)


def test_adding_the_same_again_gives_the_id_that_is_there(api: Api) -> None:
    first = api.post(ADD, {"tid": "1101", "kidList": [1, 2], "sceneDesc": "a"})["priTmplId"]
    second = api.post(ADD, {"tid": "1101", "kidList": [2, 1], "sceneDesc": "b"})

    assert said(second) == (200022, "template has added already")
    assert second["priTmplId"] == first


def test_the_26th_private_template_is_200012(api: Api, control: SimulatorControl) -> None:
    control.setup(apps=[app(templates=[template(f"t{n}", f"title {n}", "x:{{thing1.DATA}}") for n in range(24)])])

    kid_lists = [[1, 2], [1, 3]]

    codes = [api.post(ADD, {"tid": "1101", "kidList": kids, "sceneDesc": "a"})["errcode"] for kids in kid_lists]
    assert codes == [0, 200012]


@pytest.mark.parametrize(("body", "code"), [({}, 200002), ({"priTmplId": 4}, 200002), ({"priTmplId": "gone"}, 200014)])
def test_deleting_what_is_not_there_is_refused(api: Api, body: dict[str, Any], code: int) -> None:
    assert api.post(f"{NEWTMPL}deltemplate", body)["errcode"] == code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"start": "0", "limit": "1"}, 200018),
        ({"ids": "a", "start": "0", "limit": "1"}, 200019),
        ({"ids": "301", "limit": "1"}, 200016),
        ({"ids": "301", "start": "-1", "limit": "1"}, 200016),
        ({"ids": "301", "start": "0"}, 200017),
        ({"ids": "301", "start": "0", "limit": "31"}, 200017),
    ],
)
def test_a_bad_page_of_titles_is_refused(api: Api, query: dict[str, str], code: int) -> None:
    assert api.get(f"{NEWTMPL}getpubtemplatetitles", **query)["errcode"] == code


def test_titles_come_in_pages(api: Api) -> None:
    def page(start: int) -> dict[str, Any]:
        return api.get(f"{NEWTMPL}getpubtemplatetitles", ids="301,302", start=str(start), limit="2")

    assert [(page(start)["count"], len(page(start)["data"])) for start in (0, 2, 4)] == [(4, 2), (4, 2), (4, 0)]


def test_keywords_of_an_unknown_title_are_200014(api: Api) -> None:
    assert api.get(f"{NEWTMPL}getpubtemplatekeywords", tid="5")["errcode"] == 200014
