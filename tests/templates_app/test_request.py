from __future__ import annotations

import json

import pytest

from templates_app.models import MessageTemplate, MiniProgram, TemplateField
from templates_app.rendering import (
    PAGE_LIMIT,
    FieldSpec,
    body,
    page_problem,
    specs_of,
)

# --- the request ---------------------------------------------------------------------------------------------------


def test_the_body_is_raw_utf8_with_every_value_wrapped() -> None:
    sent = body(
        openid="o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
        template="VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc",
        page="/pages/order/detail?id=1&名=二",
        data={"thing1": '你好"👨‍👩‍👧', "number2": "12"},
        miniprogram_state="formal",
        lang="zh_CN",
    )

    assert "你好".encode() in sent
    assert json.loads(sent) == {
        "touser": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
        "template_id": "VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc",
        "page": "pages/order/detail?id=1&名=二",
        "data": {"thing1": {"value": '你好"👨‍👩‍👧'}, "number2": {"value": "12"}},
        "miniprogram_state": "formal",
        "lang": "zh_CN",
    }


@pytest.mark.parametrize("page", ["", "/"])
def test_a_card_that_opens_nothing_names_no_page(page: str) -> None:
    sent = body(openid="o", template="t", page=page, data={}, miniprogram_state="trial", lang="en_US")

    assert json.loads(sent) == {
        "touser": "o",
        "template_id": "t",
        "data": {},
        "miniprogram_state": "trial",
        "lang": "en_US",
    }


@pytest.mark.parametrize(
    "page", ["", "index", "/pages/index?foo=bar", "p?url=https://a.b", "页面/一", "x" * PAGE_LIMIT]
)
def test_a_page_of_the_mini_program_has_no_problem(page: str) -> None:
    assert page_problem(page) is None


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (
            "https://a.b/c",
            "A card opens a page of this mini-program, not an address. Write e.g. pages/order/detail?id=1.",
        ),
        ("//a.b/c", "A card opens a page of this mini-program, not an address. Write e.g. pages/order/detail?id=1."),
        (
            "javascript:x",
            "A card opens a page of this mini-program, not an address. Write e.g. pages/order/detail?id=1.",
        ),
        ("pages/a b", "A page holds no spaces or control characters. Write them encoded, e.g. %20."),
        ("pages/a\n", "A page holds no spaces or control characters. Write them encoded, e.g. %20."),
        ("pages/\ud800", "A page holds no spaces or control characters. Write them encoded, e.g. %20."),
        ("x" * 513, "The page has 513 characters; at most 512 are sent. Shorten its query."),
    ],
)
def test_anything_else_is_no_page(page: str, sentence: str) -> None:
    assert page_problem(page) == sentence


@pytest.mark.django_db
def test_the_fields_of_a_template_come_in_the_order_of_the_card() -> None:
    shop = MiniProgram.objects.create(name="店", app_id="wx0123456789abcdef")
    template = MessageTemplate.objects.create(mini_program=shop, wechat_id="T", title="发货")
    TemplateField.objects.create(template=template, position=2, key="thing1", label="说明", strict=False)
    TemplateField.objects.create(template=template, position=1, key="enum_string2", label="位置", choices=["客厅"])

    assert specs_of(template) == [
        FieldSpec(key="enum_string2", label="位置", choices=("客厅",)),
        FieldSpec(key="thing1", label="说明", strict=False),
    ]
