"""What a developer copies into a mini-program so that it asks in a scene: with its code, its app id and our address."""

from __future__ import annotations

import json
from dataclasses import dataclass
from string import Template
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponse

from notify_platform.console.desk.base import DeskAdmin
from subscriptions.models import Scene

# Dollars, because braces have a meaning in WXML. The values are written as JSON: a text with a quote stays a text.
_APP: Final = Template("""\
var createNotify = require("./notify.js").createNotify;

App({
  notify: createNotify({ baseUrl: $base_url, appId: $app_id }),

  onLaunch: function (options) {
    this.notify.visit(options.path, options.query.nk);
    this.notify.reportSettings();
  },

  onShow: function (options) {
    this.notify.opened(options);
  },
});
""")
_MARKUP: Final = Template("""\
<block wx:if="{{canAsk}}">
  <view>{{words}}</view>
  <button bindtap="subscribe">提醒我</button>
</block>
""")
_PAGE: Final = Template("""\
var app = getApp();

Page({
  data: { words: "", canAsk: false },

  onShow: function () {
    var page = this;
    app.notify.prefetch($scene, function (reply) {
      if (reply.ok) page.setData({ words: reply.data.words, canAsk: reply.data.template_ids.length > 0 });
    });
  },

  subscribe: function () {
    app.notify.ask($scene, function (reply) {
      console.log(reply);
    });
  },
});
""")


@dataclass(frozen=True, slots=True)
class Snippet:
    """The text of one file; ``name`` is also its id on the page."""

    name: str
    file: str
    code: str


def of_scene(scene: Scene) -> list[Snippet]:
    """Return what goes into the app, into the markup of a page, and into its script."""
    told = {"base_url": settings.PUBLIC_URL, "app_id": scene.mini_program.app_id, "scene": scene.code}
    values = {name: json.dumps(value) for name, value in told.items()}
    parts = (("app", "app.js", _APP), ("markup", "page.wxml", _MARKUP), ("page", "page.js", _PAGE))
    return [Snippet(name, file, template.substitute(values)) for name, file, template in parts]


class WithSnippets(DeskAdmin):
    """The page of a scene, with what a developer needs below the form."""

    change_form_after_template = "console/snippets.html"

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Hand the snippets of a scene that exists to the page."""
        scene = context.get("original")
        context["snippets"] = of_scene(scene) if scene else []
        return super().render_change_form(request, context, *args, **kwargs)
