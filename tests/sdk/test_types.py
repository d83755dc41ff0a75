"""The client's types: its own code keeps to them, and they say what the API says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from notify_platform.api.document_views import contract
from tests.sdk.conftest import HERE, WHY_SKIPPED, Node

if WHY_SKIPPED:
    pytest.skip(WHY_SKIPPED, allow_module_level=True)

TSC: Final = "node_modules/typescript/bin/tsc"
CLIENT: Final = (HERE.parents[1] / "notify_platform" / "api" / "sdk" / "notify").as_posix()
WORDS: Final = {"integer": "number", "null": "null"}
OPENING: Final = f"""\
import * as sdk from "{CLIENT}";
type Reply<Name extends keyof sdk.Notify> = Extract<Awaited<ReturnType<sdk.Notify[Name]>>, {{ ok: true }}>["data"];
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type Fits<Given, Taken> = [Given] extends [Taken] ? Same<keyof Given, keyof Taken> : false;
"""
# What a method brings, and what the address behind it answers.
SAME: Final = {
    'Reply<"login">': "SessionReply",
    'Reply<"prefetch">': "PromptReply",
    'Pick<Reply<"ask">, "balances">': "AuthorizationReply",
    'Reply<"subscriptions">': "SubscriptionsReply",
    'Exclude<Reply<"opened">["deed"], "known" | "none">': 'DeedReply["deed"]',
    'Exclude<Reply<"visit">["deed"], "known" | "none">': 'DeedReply["deed"]',
    'Omit<Reply<"convert">, "reported">': "ConversionReply",
    'Reply<"feedback">': "FeedbackReply",
    'Reply<"preferences">': "PreferencesReply",
    'Reply<"setPreferences">': "PreferencesReply",
    'Reply<"setProfile">': "ProfileReply",
    'Reply<"reportSettings">': "WechatSettingsReply",
    'Reply<"openSettings">': "WechatSettingsReply",
    'Omit<sdk.Problem, "status" | "retryAfter">': "ProblemWords",
}
# What a method takes, and what the address behind it takes, which may be more.
FITS: Final = {
    "sdk.PreferenceChanges": "PreferencesRequest",
    'Parameters<sdk.Notify["setProfile"]>[0]': "ProfileRequest",
    'NonNullable<Parameters<sdk.Notify["convert"]>[1]>': 'Pick<ConversionRequest, "value" | "nk">',
}


def in_typescript(schema: dict[str, Any]) -> str:
    """A type of the contract."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "oneOf" in schema:
        return " | ".join(map(in_typescript, schema["oneOf"]))
    if "enum" in schema:
        return " | ".join(f'"{word}"' for word in schema["enum"])
    kind = schema.get("type", "unknown")
    if isinstance(kind, list):
        return " | ".join(in_typescript({**schema, "type": each}) for each in kind)
    if kind == "array":
        return f"({in_typescript(schema['items'])})[]"
    if kind == "object" and "properties" not in schema:
        return f"Record<string, {in_typescript(schema.get('additionalProperties') or {})}>"
    if kind == "object":
        marks = {name: "" if name in schema.get("required", []) else "?" for name in schema["properties"]}
        rows = (f"{name}{marks[name]}: {in_typescript(each)}" for name, each in schema["properties"].items())
        return f"{{ {'; '.join(rows)} }}"
    return WORDS.get(kind, kind)


def compile_claims(node: Node, folder: Path, *, same: dict[str, str], fits: dict[str, str]) -> str:
    """Let TypeScript judge whether the types of the client are those of the contract."""
    schemas = yaml.safe_load(contract())["components"]["schemas"]
    types = [f"type {name} = {in_typescript(schema)};" for name, schema in schemas.items()]
    claims = [f"Same<{ours}, {theirs}>" for ours, theirs in same.items()]
    claims += [f"Fits<{ours}, {theirs}>" for ours, theirs in fits.items()]
    lines = [f"export const claim{number}: {claim} = true;" for number, claim in enumerate(claims)]
    file = folder / "claims.ts"
    file.write_text("\n".join([OPENING, *types, *lines]))
    return node(TSC, "--noEmit", "--strict", "--lib", "es2015", str(file))


def test_the_client_and_its_example_keep_to_the_types_of_wechat_and_to_their_own(node):
    assert node(TSC, "--project", "tsconfig.json") == ""


def test_a_wrong_call_does_not_pass_the_types(node, tmp_path):
    wrong = tmp_path / "wrong.ts"
    wrong.write_text(f'import {{ createNotify }} from "{CLIENT}";\ncreateNotify({{ appId: "wx1" }}).ask(7);\n')

    with pytest.raises(AssertionError, match=r"TS2345"):
        node(TSC, "--noEmit", "--strict", "--lib", "es2015", str(wrong))


def test_the_types_are_those_of_the_contract(node, tmp_path):
    assert compile_claims(node, tmp_path, same=SAME, fits=FITS) == ""


def test_other_types_are_told_apart(node, tmp_path):
    same = {
        'Reply<"login">': "PromptReply",
        'Omit<Reply<"login">, "token">': "SessionReply",
        'Reply<"login"> & { more: string }': "SessionReply",
        'Reply<"opened">': "DeedReply",
    }
    fits = {
        'Pick<sdk.PreferenceChanges, "muted">': "PreferencesRequest",
        "{ quiet_hours?: string; muted?: string[]; paused_until?: string }": "PreferencesRequest",
        "sdk.PreferenceChanges & { more?: string }": "PreferencesRequest",
    }

    with pytest.raises(AssertionError) as complaints:
        compile_claims(node, tmp_path, same=same, fits=fits)

    found = re.findall(r"error (TS\d+: [^\n]+)", complaints.value.args[0].partition("\nassert ")[0])
    assert found == ["TS2322: Type 'true' is not assignable to type 'false'."] * 7
