"use strict";

// What is copied into a mini-program runs as it is: plain ES5, one file, no dependency.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");

const { parse } = require("acorn");

const { CLIENT, SDK } = require("./world.js");

const scripts = fs
  .readdirSync(SDK, { recursive: true })
  .filter((name) => name.endsWith(".js"))
  .map((name) => path.join(SDK, name));

const es5 = (text) => parse(text, { ecmaVersion: 5 });

test("the client and its example are ES5", () => {
  assert.ok(scripts.length > 3);
  for (const script of scripts) es5(fs.readFileSync(script, "utf8"));
});

test("the parser refuses what is newer", () => {
  for (const newer of ["let a = 1;", "const f = () => 1;", "var a = `b`;", "async function f() {}", "f(a, );"]) {
    assert.throws(() => es5(newer), SyntaxError);
  }
});

/** The scripts of a README. */
function shown(name) {
  const text = fs.readFileSync(path.join(SDK, name), "utf8");
  return [...text.matchAll(/^```js\n(.*?)^```/gms)].map((found) => found[1]);
}

test("what the page for developers shows is ES5, the same in both languages", () => {
  assert.equal(shown("README.md").length, 2);
  assert.deepEqual(shown("README.zh-CN.md"), shown("README.md"));
  shown("README.md").forEach(es5);
});

test("the page for developers names every method there is, and no other", () => {
  globalThis.wx = {};
  const methods = Object.keys(require(CLIENT).createNotify({ baseUrl: "https://notify.example.com", appId: "wx1" }));
  for (const name of ["README.md", "README.zh-CN.md"]) {
    const rows = fs.readFileSync(path.join(SDK, name), "utf8").split("\n").filter((line) => /^\| `\w+\(/.test(line));
    const named = rows.flatMap((row) => [...row.split("|")[1].matchAll(/`(\w+)\(/g)].map((found) => found[1]));
    assert.deepEqual(named.sort(), [...methods].sort());
  }
});

test("the client needs no other file and nothing of a newer runtime", () => {
  const text = fs.readFileSync(CLIENT, "utf8");
  assert.deepEqual(text.match(/\brequire\(|\bObject\.assign|\bSymbol\b|\bfetch\(|\.(finally|includes|find)\(/g), null);
});
