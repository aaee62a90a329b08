# Everything a newcomer needs: `make demo`, `make test`, `make lint`. `make` alone explains.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# installed without bytecode: the first start writes what it imports, and every later one is seconds faster
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
HOST ?= 127.0.0.1
PORT ?= 8000
SCENARIO ?= depot
API_KEY ?=
TESTS ?= tests
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install --require-hashes --no-deps --no-compile --no-warn-script-location
# a lock resolved elsewhere must not depend on where: neither index hosts nor local folders are written
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links
# what `manage.py check --deploy` looks at is production, not the environment of whoever runs it
PRODUCTION := env -u DEBUG -u FLEET_DEPOT_DEMO ALLOWED_HOSTS=depot.example \
	CSRF_TRUSTED_ORIGINS=https://depot.example DATABASE_URL=postgres://depot@db.example:5432/depot \
	REDIS_URL=redis://broker.example:6379/0

.PHONY: help venv venv-dev demo test lint format bench lock clean

help: ## this list
	@echo "Fleet Depot"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

venv: $(VENV)/.runtime ## virtual environment from the locked, hashed requirements
venv-dev: $(VENV)/.dev ## the same with the development tools

$(VENV)/.runtime: requirements.txt
	@test -w . || { echo "Cannot write to $(CURDIR): run make in a folder that you may write to." >&2; exit 1; }
	@test ! -e $(VENV) || test -w $(VENV) || { echo "Cannot write to $(CURDIR)/$(VENV): remove it or change its owner." >&2; exit 1; }
	@"$(PYTHON)" -c '' 2>/dev/null || { echo "Python 3.11 or newer was not found: install it, or say where it is with make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$("$(PYTHON)" -V 2>&1): Fleet Depot needs Python 3.11 or newer; say where one is with make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Creating $(VENV) with $$("$(PYTHON)" -V) ..."; "$(PYTHON)" -m venv $(VENV); }
	@echo "Installing the locked requirements ..."
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing the development tools ..."
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.dev
	@echo "Installing the solvers to compare with ..."
	@$(INSTALL) -r requirements-bench.txt
	@touch $@

demo: $(VENV)/.runtime ## a living depot: PORT=8000 HOST=127.0.0.1 API_KEY=... SCENARIO=depot|garage
	@FLEET_DEPOT_DEMO=1 exec $(BIN)/python manage.py up --demo --host "$(HOST)" --port "$(PORT)" --scenario "$(SCENARIO)" $(if $(API_KEY),--api-key "$(API_KEY)")

test: $(VENV)/.dev ## all tests; a second time on PostgreSQL and Redis where DATABASE_URL and REDIS_URL are set
	$(BIN)/pytest $(TESTS) -q -n $(JOBS) --dist loadfile
	@if [ -n "$${DATABASE_URL:-}" ] && [ -n "$${REDIS_URL:-}" ]; then \
		echo "Second pass, on PostgreSQL and Redis:"; \
		FLEET_DEPOT_TEST_ON=services $(BIN)/pytest $(TESTS) -q -n $(JOBS) --dist loadfile; \
	fi

lint: $(VENV)/.dev ## ruff, mypy, import contracts, migrations, Django's deployment check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy manage.py depot charging scheduling tests $(wildcard benchmarks)
	$(BIN)/lint-imports --no-logo
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
		env -u DATABASE_URL FLEET_DEPOT_DEMO=1 FLEET_DEPOT_VAR="$$folder" $(BIN)/python manage.py makemigrations --check --dry-run
	@$(PRODUCTION) SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))')" \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

format: $(VENV)/.dev ## ruff: sort imports, fix what is safe, format
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## the measured table of docs/performance.md
	$(BIN)/python -m benchmarks

lock: ## resolve requirements*.txt anew (needs uv on PATH)
	@command -v uv >/dev/null || { echo "make lock needs uv on PATH: see https://docs.astral.sh/uv/." >&2; exit 1; }
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(COMPILE) --extra dev --extra bench -c requirements-dev.txt pyproject.toml -o requirements-bench.txt

clean: ## remove the virtual environment, caches and the demo's data
	@if [ -e var/up.lock ] && command -v flock >/dev/null && ! flock -n var/up.lock true; then \
		echo "Fleet Depot is running from this folder: stop it first (Ctrl-C)." >&2; exit 1; fi
	rm -rf $(VENV) var .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
