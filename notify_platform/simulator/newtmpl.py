"""The six calls of template management, and a small library of public templates to choose from.

Source: WeChat's docs, "template management" (``/wxaapi/newtmpl``).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from notify_platform.simulator.calls import Call, WeChatError
from notify_platform.simulator.world import LONG_TERM_TYPE, ONE_TIME_TYPE, App, Template, World

MOST_PRIVATE = 25
MOST_TITLES = 30
FEWEST_KEYWORDS, MOST_KEYWORDS = 2, 5
LONGEST_SCENE = 15


@dataclass(frozen=True, slots=True)
class PublicTemplate:
    """A title of the library: keywords are (name, example, rule); their kid is the place, from 1."""

    tid: int
    title: str
    type: int
    category: int
    keywords: tuple[tuple[str, str, str], ...]


CATEGORIES = ({"id": 301, "name": "生活服务"}, {"id": 302, "name": "医疗"})
LIBRARY = (
    PublicTemplate(
        1101,
        "取餐提醒",
        ONE_TIME_TYPE,
        301,
        (
            ("取餐码", "A127", "character_string"),
            ("门店", "南山一店", "thing"),
            ("下单时间", "2026-11-23 12:05", "time"),
            ("实付金额", "¥32.50", "amount"),
            ("备注", "请凭取餐码到柜台领取", "thing"),
        ),
    ),
    PublicTemplate(
        1102,
        "活动开始提醒",
        ONE_TIME_TYPE,
        301,
        (
            ("活动名称", "周末读书会", "thing"),
            ("开始日期", "2026-11-28", "date"),
            ("地点", "二楼活动室", "thing"),
            ("报名状态", "已报名", "phrase"),
        ),
    ),
    PublicTemplate(
        1103,
        "复诊提醒",
        LONG_TERM_TYPE,
        302,
        (
            ("就诊人", "李雷", "name"),
            ("复诊日期", "2026-12-01", "date"),
            ("科室", "口腔科", "thing"),
            ("咨询电话", "0755-1234567", "phone_number"),
        ),
    ),
    # A card for services: WeChat's docs name these ids and that they have no keywords.
    PublicTemplate(10000001, "外卖配送进度", ONE_TIME_TYPE, 301, ()),
)
_BY_TID = {template.tid: template for template in LIBRARY}
OK: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}


def getcategory(world: World, call: Call) -> dict[str, Any]:
    """List the app's categories."""
    with world.lock:
        world.authorised_app(call)
    return OK | {"data": list(CATEGORIES)}


def getpubtemplatetitles(world: World, call: Call) -> dict[str, Any]:
    """List the titles of some categories, a page at a time."""
    with world.lock:
        world.authorised_app(call)
    ids = _numbers(call.query.get("ids", ""))
    start = _number(call.query.get("start", ""), code=200016)
    limit = _number(call.query.get("limit", ""), code=200017)
    if limit > MOST_TITLES:
        raise WeChatError(200017)
    found = [template for template in LIBRARY if template.category in ids]
    rows = [
        {"tid": each.tid, "title": each.title, "type": each.type, "categoryId": str(each.category)} for each in found
    ]
    return OK | {"count": len(rows), "data": rows[start : start + limit]}


def getpubtemplatekeywords(world: World, call: Call) -> dict[str, Any]:
    """List the keywords of one title."""
    with world.lock:
        world.authorised_app(call)
    public = _public(call.query.get("tid", ""))
    rows = [
        {"kid": kid, "name": name, "example": example, "rule": rule}
        for kid, (name, example, rule) in enumerate(public.keywords, start=1)
    ]
    return OK | {"count": len(rows), "data": rows}


def addtemplate(world: World, call: Call) -> dict[str, Any]:
    """Make a private template of a title and two to five of its keywords."""
    with world.lock:
        app = world.authorised_app(call)
        body = call.body()
        public = _public(str(body.get("tid", "")))
        kids = _kids(body.get("kidList"), public=public)
        scene = body.get("sceneDesc")
        if not isinstance(scene, str) or not 1 <= len(scene) <= LONGEST_SCENE:
            raise WeChatError(200021)
        template = Template.from_row(_private_row(public, kids, template_id=_new_template_id(world)))
        _refuse_a_second(app, template)
        if len(app.templates) >= MOST_PRIVATE:
            raise WeChatError(200012)
        app.templates[template.template_id] = template
    return OK | {"priTmplId": template.template_id}


def gettemplate(world: World, call: Call) -> dict[str, Any]:
    """List the app's private templates."""
    with world.lock:
        app = world.authorised_app(call)
        return OK | {"data": [template.row for template in app.templates.values()]}


def deltemplate(world: World, call: Call) -> dict[str, Any]:
    """Delete a private template: sends with its id get 40037 from now on."""
    with world.lock:
        app = world.authorised_app(call)
        template_id = call.body().get("priTmplId")
        if not isinstance(template_id, str) or not template_id:
            raise WeChatError(200002)
        if app.templates.pop(template_id, None) is None:
            raise WeChatError(200014)
    return dict(OK)


def _public(tid: str) -> PublicTemplate:
    if not tid.isascii() or not tid.isdecimal() or int(tid) not in _BY_TID:
        raise WeChatError(200014)
    return _BY_TID[int(tid)]


def _kids(given: object, *, public: PublicTemplate) -> list[int]:
    """Return the keyword ids asked for; raise 200020 for too few, too many, twice the same, or one of another title."""
    places = range(1, len(public.keywords) + 1)
    kids = [kid for kid in given if type(kid) is int and kid in places] if isinstance(given, list) else []
    if kids != given or len(set(kids)) != len(kids) or not FEWEST_KEYWORDS <= len(kids) <= MOST_KEYWORDS:
        raise WeChatError(200020)
    return kids


def _private_row(public: PublicTemplate, kids: list[int], *, template_id: str) -> dict[str, Any]:
    chosen = [(kid, *public.keywords[kid - 1]) for kid in kids]
    return {
        "priTmplId": template_id,
        "title": public.title,
        "content": "".join(f"{name}:{{{{{rule}{kid}.DATA}}}}\n" for kid, name, _, rule in chosen),
        "example": "".join(f"{name}:{example}\n" for _, name, example, _ in chosen),
        "type": public.type,
    }


def _new_template_id(world: World) -> str:
    return base64.urlsafe_b64encode(world.rng.randbytes(33)).decode("ascii")[:43]


def _refuse_a_second(app: App, new: Template) -> None:
    """Raise 200022, with the id that is there already, for the same title with the same keywords in any order."""
    for old in app.templates.values():
        if old.row["title"] == new.row["title"] and set(old.fields) == set(new.fields):
            raise WeChatError(200022, extra={"priTmplId": old.template_id})


def _numbers(text: str) -> set[int]:
    if not text:
        raise WeChatError(200018)
    return {_number(each, code=200019) for each in text.split(",")}


def _number(text: str, *, code: int) -> int:
    if not text.isascii() or not text.isdecimal():
        raise WeChatError(code)
    return int(text)
