# One command per wish. Every target sets the project up first when that is needed, so any of them
# works on a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
STAMP := .venv/.setup-stamp
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=
# The interpreter to build .venv with; overrides the search below: make setup PYTHON=/path/to/python
PYTHON ?=

.PHONY: help setup demo test torture check bench lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv and install what the lock names (only when something changed)

demo: $(STAMP)  ## run the retail demo: make demo ARGS="--help"
	$(BIN)/recsys demo $(ARGS)

test: $(STAMP)  ## run every test, two workers: SQLite, a real PostgreSQL, real processes
	$(BIN)/pytest -q -n 2 --dist loadgroup tests

torture: $(STAMP)  ## the tests under faults in their long form: make torture ARGS="-k killed"
	TORTURE=1 $(BIN)/pytest -q -x -o faulthandler_timeout=3600 tests/faults tests/e2e/test_artifacts.py tests/e2e/test_pipelines.py $(ARGS)

check: $(STAMP)  ## format, lint, types, floors and docs; fast, and the same in CI
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/architecture

bench: $(STAMP)  ## measure: make bench ARGS="--help"
	$(BIN)/python -m bench $(ARGS)

# Exact versions and hashes, one set for every platform and Python. No package index: pip uses its own settings.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
  --no-header --no-emit-index-url pyproject.toml

lock: $(STAMP)  ## resolve again and rewrite both lock files: make lock ARGS=--upgrade
	$(LOCK) $(ARGS) --all-extras --output-file requirements-dev.lock
	$(LOCK) $(ARGS) --extra postgres --extra demo --constraint requirements-dev.lock --output-file requirements.lock

clean:  ## remove .venv, caches and build results
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMP): requirements-dev.lock pyproject.toml
	@python='$(PYTHON)'; \
	for each in python3.11 python3 python3.12 python3.13; do \
	  [ -n "$$python" ] && break; \
	  if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python="$$each"; fi; \
	done; \
	if ! "$${python:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  echo "RecSys needs Python 3.11 or newer, but $${python:-what is on the PATH} is older or missing." \
	    "Install one, or name it: make setup PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! $(PIP) --version >/dev/null 2>&1; then \
	  echo "setup 1/4  creating .venv with $$("$$python" --version)"; "$$python" -m venv --clear .venv; \
	fi
	@echo "setup 2/4  installing the locked packages, each checked against its hash (the first time: about a minute)"
	@$(PIP) install --quiet --timeout 120 --retries 5 --require-hashes -r requirements-dev.lock
	@echo "setup 3/4  installing recsys itself, editable"
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@echo "setup 4/4  compiling the ranking for this machine (about half a minute)"
	@$(BIN)/python -m recsys.ranking.warm_up
	@touch $@
	@echo "setup      done: $(BIN)/recsys"
