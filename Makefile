# Everything runs in .venv, built here from the locked requirements. Needs python3 (3.11 or newer) with venv, and make.

PYTHON ?= python3
ARGS ?=
HISTORIES ?= 5000
ROUNDS ?= 10

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --require-hashes
FUZZ := .venv-fuzz
TEST_MANAGE := DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint pytest javascript fuzz bench screens chaos

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name words; do \
		printf '%-12s %s\n' "$$name" "$$words"; done

demo: $(VENV)/.runtime ## a whole campaign against a WeChat of our own; ARGS=--once ends after checking the books
	@$(BIN)/python manage.py demo $(ARGS)

test: lint pytest ## lint, then every test; on PostgreSQL when DATABASE_URL says so

lint: $(VENV)/.dev ## style, types, import order, migrations, Django's own checks
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@said=$$($(BIN)/lint-imports --no-logo 2>&1) || { printf '%s\n' "$$said"; exit 1; }
	@$(TEST_MANAGE) makemigrations --check --dry-run
	@$(TEST_MANAGE) check

pytest: $(VENV)/.dev ## the tests alone; ARGS="tests/jobs -k approve" chooses some
	@$(BIN)/pytest -n 2 --dist loadgroup -rs $(ARGS)

javascript: ## the tools that test the JavaScript client, by npm; without them those tests are skipped
	@npm ci --prefix tests/sdk --no-audit --no-fund --loglevel=error

fuzz: $(VENV)/.dev $(FUZZ)/.done ## the API against its own contract, four minutes of it; ARGS="--seed 7" takes other requests
	@$(BIN)/python -m tests.fuzz $(FUZZ)/bin/schemathesis $(ARGS)

bench: $(VENV)/.dev ## measures; docs/benchmarks.md is written anew; ARGS="intake --on sqlite" chooses
	@$(BIN)/python -m tests.bench $(ARGS)

screens: $(VENV)/.dev ## the pictures of docs/screens, taken anew from the demo
	@$(BIN)/python -m tests.screens $(ARGS)

chaos: $(VENV)/.dev ## everything that breaks, at length: kills, freezes, faults, databases, clocks, histories, races
	@CHAOS=full HISTORIES=$(HISTORIES) CHAOS_ROUNDS=$(ROUNDS) $(BIN)/pytest -n 2 --dist loadgroup -rs \
		tests/chaos tests/model tests/races $(ARGS)

# --- the virtual environment: python first, then one stamp for each set of requirements ---------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed. Say which one: make PYTHON=python3.12 …'; \
		echo '需要 Python 3.11 或更高版本，可用 make PYTHON=python3.12 … 指定。'; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'Python cannot make virtual environments here. On Debian and Ubuntu: apt install python3-venv'; \
		echo '缺少 venv 模块，Debian / Ubuntu 请先执行：apt install python3-venv'; exit 1; } >&2
	@$(PYTHON) -m venv --clear $(VENV)

# What the tests need includes what the platform needs.
$(VENV)/.dev: $(BIN)/python requirements-dev.txt
	@echo 'Installing the requirements into $(VENV) …'
	@$(BIN)/python $(PIP_INSTALL) -r requirements-dev.txt
	@touch $(VENV)/.runtime $@

$(VENV)/.runtime: $(BIN)/python requirements.txt
	@echo 'Installing the requirements into $(VENV) …'
	@$(BIN)/python $(PIP_INSTALL) -r requirements.txt
	@touch $@

# Apart from the others: it brings many packages that nothing else needs.
$(FUZZ)/.done: $(BIN)/python requirements-fuzz.txt
	@echo 'Installing the requirements into $(FUZZ) …'
	@$(PYTHON) -m venv --clear $(FUZZ)
	@$(FUZZ)/bin/python $(PIP_INSTALL) -r requirements-fuzz.txt
	@touch $@
