"""Every state has one writer: the verb module of its room.

How far this sees. A write is one of Django's writing methods on a chain that starts at the model
(``Grant.objects.filter(…).update``), at one of its related managers (``job.deliveries.bulk_create``), at a function or
a variable that holds its rows (``rows = Grant.objects…``, ``def in_stock() -> QuerySet[Grant]``); a row made with the
field (``Grant(state=…)``); a set-based write of ``core.bulk``. For all models alike: nobody assigns a ``.state``, no
module but those named here calls ``save`` or ``setattr`` or speaks SQL. It does not see a model that travels through a
variable of another module, nor ``save`` inside Django's own admin: those rows come from a form, which must not hold
the field.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import pytest
from django.apps import apps
from django.contrib import admin

from tests.architecture.tree import PACKAGES, Module, calls, modules, where

ROWS = frozenset({"update", "bulk_update"})
MAKING = frozenset({"create", "get_or_create", "update_or_create"})
SET_BASED = frozenset({"update_from_values", "insert_from_select"})
# The demo's last week is over before it begins: its rows are written as they ended.
PAST = "notify_platform/console/demo/cast.py"
# It has no models, and an AccessToken of its own.
SIMULATOR = "notify_platform/simulator/"


@dataclass(frozen=True)
class Owned:
    """A field, or all fields (``*``), of a model, and the modules that may write it."""

    model: str
    field: str
    owners: frozenset[str]

    @property
    def label(self) -> str:
        return f"{self.model}.{self.field}"


GRANTS = "subscriptions/grants"
OWNED = [
    Owned("subscriptions.Grant", "state", frozenset({f"{GRANTS}/ledger.py", f"{GRANTS}/validity.py"})),
    # A wish needs a row to be noted at: ``wishes`` makes it, off and undecided, and changes no state.
    Owned(
        "subscriptions.Subscription",
        "state",
        frozenset(f"{GRANTS}/{name}.py" for name in ("ledger", "forgetting", "wishes")),
    ),
    Owned("templates_app.MessageTemplate", "state", frozenset({"templates_app/catalog.py"})),
    Owned("templates_app.AccessToken", "*", frozenset({"notify_platform/wechat/tokens.py"})),
    Owned("jobs.SendJob", "state", frozenset({"notify_platform/jobs/jobs.py"})),
    Owned("jobs.Series", "*", frozenset({"notify_platform/jobs/series.py"})),
    Owned("jobs.Event", "*", frozenset({"notify_platform/jobs/events.py"})),
    Owned(
        "delivery.Delivery",
        "state",
        frozenset(f"notify_platform/delivery/{name}.py" for name in ("fanout", "claims", "settlement", "reports")),
    ),
    Owned("delivery.Pace", "*", frozenset({"notify_platform/delivery/pacing.py"})),
    Owned("subscriptions.PromptReport", "*", frozenset({"subscriptions/prompts/reporting.py"})),
    Owned("templates_app.MiniProgram", "banned_at", frozenset({"notify_platform/jobs/bans.py"})),
    Owned("alerts.Alert", "*", frozenset({"notify_platform/alerts/alerts.py"})),
    Owned("subscriptions.AskingTally", "*", frozenset({"notify_platform/insights/asking.py"})),
    Owned("subscriptions.ExpectedDemand", "*", frozenset({"notify_platform/insights/demand.py"})),
    Owned(
        "callbacks.CallbackEvent",
        "*",
        frozenset(f"notify_platform/callbacks/{name}.py" for name in ("inbox", "keeping")),
    ),
]
# One form writes a draft, with the columns a person may write; a workbook is no model, and neither is the simulator.
SAVING = {"notify_platform/console/desk/jobs/composing.py", "notify_platform/core/spreadsheets.py"}
SETTING = {"notify_platform/simulator/steering.py"}
SPEAKING_SQL = {
    "notify_platform/console/doctor/database.py",
    "notify_platform/core/bulk.py",
    "notify_platform/core/clock.py",
    "notify_platform/core/history.py",
    "notify_platform/core/prepared.py",
    "notify_platform/core/schema.py",
    "notify_platform/delivery/pacing.py",
}


class Rows:
    """What stands for rows of one model in one module."""

    def __init__(self, owned: Owned, module: Module) -> None:
        model = apps.get_model(owned.model)
        self.model = model.__name__
        relations = [field.remote_field.get_accessor_name() for field in model._meta.fields if field.remote_field]
        self.names = {self.model, *filter(None, relations), *functions_returning(self.model)}
        # Twice, so that a variable made of a variable is known too.
        for _round in range(2):
            self.names |= set(self._variables(module.tree))

    def _variables(self, tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and self.holds(node.value):
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
            elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation and self.is_type(node.annotation):
                name = node.arg if isinstance(node, ast.arg) else getattr(node.target, "id", "")
                yield name

    def is_type(self, annotation: ast.expr) -> bool:
        """Whether an annotation is ``QuerySet[<model>]``."""
        return f"QuerySet[{self.model}" in ast.unparse(annotation)

    def holds(self, chain: ast.expr) -> bool:
        """Whether a chain of attributes and calls starts at, or goes through, one of the names."""
        while True:
            if isinstance(chain, ast.Call):
                chain = chain.func
            elif isinstance(chain, ast.Attribute):
                if chain.attr in self.names:
                    return True
                chain = chain.value
            elif isinstance(chain, ast.Subscript):
                chain = chain.value
            else:
                return isinstance(chain, ast.Name) and chain.id in self.names


@lru_cache
def functions_returning(model: str) -> frozenset[str]:
    """The functions of the platform that return a queryset of the model."""
    return frozenset(
        node.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and node.returns and f"QuerySet[{model}" in ast.unparse(node.returns)
    )


def names_field(call: ast.Call, field: str) -> bool:
    """Whether a call writes the field: as a keyword, inside ``**`` or a list or dict of names, or hidden from sight."""
    if field == "*" or any(word.arg in {None, field} for word in call.keywords):
        return True
    told = [word.value for word in call.keywords if word.arg in {"defaults", "create_defaults", "fields", "columns"}]
    told += [argument for argument in call.args if isinstance(argument, ast.List)]
    return any(field in literals(value) or not isinstance(value, ast.Dict | ast.List | ast.Tuple) for value in told)


def literals(value: ast.AST) -> set[object]:
    return {node.value for node in ast.walk(value) if isinstance(node, ast.Constant)}


def writes(call: ast.Call, owned: Owned, rows: Rows) -> bool:
    if isinstance(call.func, ast.Name):
        makes_a_row = call.func.id == rows.model
        in_sets = call.func.id in SET_BASED and isinstance(call.args[0], ast.Name) and call.args[0].id == rows.model
        return (makes_a_row or in_sets) and names_field(call, owned.field)
    if not isinstance(call.func, ast.Attribute) or not rows.holds(call.func.value):
        return False
    if call.func.attr == "bulk_create":
        # The rows themselves are calls of the model; a conflict may write too.
        told = [word.value for word in call.keywords if word.arg == "update_fields"]
        return owned.field == "*" or any(owned.field in literals(value) for value in told)
    return call.func.attr in ROWS | MAKING and names_field(call, owned.field)


def written_in(module: Module, owned: Owned) -> list[str]:
    rows = Rows(owned, module)
    return [where(module, call) for call in calls(module.tree) if writes(call, owned, rows)]


def test_every_model_with_a_state_has_an_owner() -> None:
    ours = [model for model in apps.get_models() if model.__module__.split(".")[0] in PACKAGES]
    with_state = {model._meta.label for model in ours if any(field.name == "state" for field in model._meta.fields)}
    assert with_state == {owned.model for owned in OWNED if owned.field == "state"} | {"callbacks.CallbackEvent"}


@pytest.mark.parametrize("owned", OWNED, ids=lambda owned: owned.label)
def test_a_state_is_written_by_its_owner_alone(owned: Owned) -> None:
    free = (*owned.owners, PAST, SIMULATOR)
    strangers = [module for module in modules() if not module.path.startswith(free)]
    found = [place for module in strangers for place in written_in(module, owned)]
    assert found == [], f"{owned.label} is written by {', '.join(sorted(owned.owners))}: call one of their verbs."


@pytest.mark.parametrize("owned", OWNED, ids=lambda owned: owned.label)
def test_every_owner_does_write_what_it_owns(owned: Owned) -> None:
    writing = {module.path for module in modules() if module.path in owned.owners and written_in(module, owned)}
    # Pace is written with SQL, and its row made by get_or_create.
    assert writing == owned.owners


@pytest.mark.parametrize(
    "line",
    [
        "Grant.objects.filter(pk=1).update(state='spent')",
        "Grant.objects.create(state='spent')",
        "Grant.objects.update_or_create(pk=1, defaults={'state': 'spent'})",
        "Grant.objects.update_or_create(pk=1, defaults=values)",
        "Grant.objects.bulk_update(rows, ['state'])",
        "Grant.objects.bulk_update(rows, fields=['state'])",
        "Grant.objects.bulk_create(rows, update_conflicts=True, update_fields=['state'])",
        "Grant.objects.filter(pk=1).update(**changes)",
        "person.grants.filter(pk=1).update(state='spent')",
        "person.grants.all()[:3].update(state='spent')",
        "models.Grant.objects.update(state='spent')",
        "Grant(pk=1, state='spent')",
        "some = Grant.objects.all()\nfew = some.filter(pk=1)\nfew.update(state='spent')",
        "def f(some: QuerySet[Grant]) -> None:\n    some.update(state='spent')",
        "ledger.in_stock(template=template).update(state='spent')",
        "update_from_values(Grant, columns=['state'], rows=rows, only_if='')",
        "insert_from_select(Grant, columns=columns, rows=rows)",
    ],
)
def test_this_is_seen(line: str) -> None:
    assert written_in(Module("elsewhere.py", line, ast.parse(line)), OWNED[0]) != []


@pytest.mark.parametrize(
    "line",
    [
        "Grant.objects.filter(state='spent').count()",
        "Grant.objects.update(expires_at=now)",
        "Delivery.objects.update(state='failed')",
        "update_from_values(Delivery, columns=['state'], rows=rows, only_if='')",
        "person.grants.update_or_create(pk=1, defaults={'expires_at': now})",
        "values.update(state='spent')",
    ],
)
def test_this_is_no_write_of_that_state(line: str) -> None:
    assert written_in(Module("elsewhere.py", line, ast.parse(line)), OWNED[0]) == []


def test_nobody_assigns_a_state() -> None:
    found = [
        where(module, node)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "state" and isinstance(node.ctx, ast.Store)
    ]
    assert found == [], "A row in memory may be old: change states by compare-and-set, in the owner's verb."


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ({"save", "save_base", "asave"}, SAVING),
        ({"setattr"}, SETTING),
        ({"execute", "executemany", "raw"}, SPEAKING_SQL),
    ],
    ids=["save", "setattr", "SQL"],
)
def test_only_these_modules_use(names: set[str], allowed: set[str]) -> None:
    using = {
        module.path
        for module in modules()
        for call in calls(module.tree)
        if (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")) in names
    }
    assert using == allowed


@pytest.mark.parametrize("owned", OWNED, ids=lambda owned: owned.label)
def test_no_form_of_the_desk_holds_the_field(owned: Owned, rf, admin_user) -> None:
    desk = admin.site._registry.get(apps.get_model(owned.model))
    request = rf.get("/")
    request.user = admin_user
    if desk and (desk.has_add_permission(request) or desk.has_change_permission(request)):
        assert owned.field != "*"
        assert owned.field not in desk.get_form(request).base_fields
