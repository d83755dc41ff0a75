"""A real platform with a simulated WeChat for the JavaScript client, and Node to run it in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from notify_platform.console.desk import snippets
from notify_platform.delivery import keys
from notify_platform.delivery.models import Delivery
from subscriptions.models import Scene, SceneTemplate
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories, wechat_world
from tests.console.conftest import a_delivery
from tests.journeys.conftest import web  # noqa: F401 - a fixture

HERE = Path(__file__).parent
NODE = shutil.which("node")
TOOLS = HERE / "node_modules"
PACKAGES = json.loads((HERE / "package.json").read_text())["devDependencies"]
MISSING = [
    *([] if NODE else ["node (on Debian: apt install nodejs npm)"]),
    *(f"npm package {name} (make javascript)" for name in PACKAGES if not (TOOLS / name).exists()),
]
# The module is skipped whole, so that this is said in one line.
WHY_SKIPPED = f"NO NODE TESTS: there is no {' and no '.join(MISSING)}" if MISSING else ""
WORDS = "货发出时告诉您"
# Of the example: it is run as it stands.
APP_ID = "wx0123456789abcdef"
PATIENCE_SECONDS = 120

Node = Callable[..., str]


@pytest.fixture
def node() -> Node:
    """Run node in this folder and return what it printed; whatever it complains of fails the test."""

    def run(*arguments: str, world: Any = None) -> str:
        assert NODE
        ran = subprocess.run(
            [NODE, *arguments],
            cwd=HERE,
            env={**os.environ, "NOTIFY_WORLD": json.dumps(world)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


def a_scene(mini_program: MiniProgram, *, code: str, words: str, asks: Sequence[MessageTemplate]) -> Scene:
    scene = Scene.objects.create(mini_program=mini_program, code=code, name=code, words=words)
    for position, template in enumerate(asks, start=1):
        SceneTemplate.objects.create(scene=scene, template=template, position=position)
    return scene


@pytest.fixture
def world(wechat, web, settings) -> dict[str, Any]:  # noqa: F811 - the fixture
    """A shop with the example's two scenes, and somebody who was sent a card, in the words of world.js."""
    mini_program = factories.a_mini_program(app_id=APP_ID)
    templates = [factories.a_template(mini_program, title=title) for title in ("发货通知", "签收通知", "预约提醒")]
    *planned, reminder = templates
    scene = a_scene(mini_program, code="order-paid", words=WORDS, asks=planned)
    a_scene(mini_program, code="booked", words="开始前提醒您", asks=[reminder])
    (person,) = factories.subscribers(mini_program, count=1)
    factories.grants(planned[0], to=[person])
    card = a_delivery(factories.a_job(planned[0]), person=person, state=Delivery.State.ACCEPTED)
    wechat_world.introduce(wechat, mini_program)
    settings.PUBLIC_URL = web
    return {
        "url": web,
        "wechat": wechat.url,
        "appId": mini_program.app_id,
        "templates": {each.wechat_id: {"title": each.title, "type": 2} for each in templates},
        "scene": scene.code,
        "words": WORDS,
        "planned": [each.wechat_id for each in planned],
        "card": {"openid": person.openid, "nk": keys.make(card.pk)},
        "snippets": {each.name: each.code for each in snippets.of_scene(scene)},
    }
