# feeder-tui: every target makes the virtual environment it needs, and is quick the second time.
#   make demo             the embedded exchange, live on this terminal   (ARGS="--no-ui --run-for 60")
#   make demo-cluster     three workers that share the symbols through a real Kafka, one of which you can kill
#   make run              the real exchange, with ./config.toml          (ARGS="--symbols BTCUSDT,ETHUSDT")
#   make test             the unit and the end-to-end tests              (ARGS="-k coverage")
#   make test-unit        those without sockets, processes and waiting, under a minute
#   make test-end-to-end  whole engines, real sockets and processes
#   make test-integration against a real Kafka, PostgreSQL, and clients from PyPI   (ARGS="--kills 30")
#   make kafka, postgres  start one on loopback; make stop-services ends them
#   make check            ruff, mypy --strict, import-linter
#   make bench            every benchmark, in one table                  (ARGS="history numbers --keep")
#   make bench-check      what fell by more than a fifth of benchmarks/baseline.json
#   make release          sdist, wheel, SBOM and checksums into dist/
ARGS ?=
# The first Python that runs and is new enough (a shim on the path may stand for none).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster run test test-unit test-end-to-end test-integration kafka postgres stop-services check bench bench-check release format clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@test -n "$(PYTHON)" || \
	  { echo "feeder-tui needs Python 3.11 or newer, and none is on the path. Use: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "$(PYTHON) does not run, or is older than Python 3.11. Use: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || \
	  { echo "could not make $(VENV): on Debian and Ubuntu install python3-venv, then run make again"; rm -rf $(VENV); exit 1; }

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing feeder-tui into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing feeder-tui and its test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run
	@$(BIN)/feeder-tui --demo $(ARGS)

# Needs Java 17 and Maven for Kafka.
demo-cluster: $(VENV)/.dev
	@PYTHONPATH=.:tests/support:tests/support/brokers $(BIN)/python tests/support/cluster_demo.py

run: $(VENV)/.run
	@$(BIN)/feeder-tui $(ARGS)

# Each of the many processes of the tests would compile the program again without its byte code.
test test-unit test-end-to-end test-integration: export PYTHONDONTWRITEBYTECODE :=

# Beside each other: some compute while others wait.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j2 test-unit test-end-to-end

# They compute all the time: as many processes as there are processors.
test-unit: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n auto --dist worksteal tests/unit $(ARGS)

# They wait most of the time: more processes than there are processors.
test-end-to-end: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n 6 --dist worksteal tests/end_to_end $(ARGS)

# Against a real Kafka and a real PostgreSQL; needs Java 17, Maven, openssl, Debian's postgresql and pgbouncer.
test-integration: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n 3 --dist loadgroup -m integration tests/integration $(ARGS)

kafka postgres stop-services: $(VENV)/.dev
	@$(BIN)/python tests/support/brokers/services.py $(if $(filter stop-services,$@),stop,$@)

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.table $(ARGS)

bench-check: $(VENV)/.dev
	@$(BIN)/python -m benchmarks.guard $(ARGS)

release: $(BIN)/python
	@$(BIN)/python deploy/release.py dist

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
