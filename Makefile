# `make help` says what there is. PYTHON picks the interpreter; one that is named gets an
# environment of its own, so that `make test PYTHON=/usr/bin/python3` leaves .venv alone.

PYTHON ?= python3
ifeq ($(origin PYTHON),file)
VENV ?= .venv
else
VENV ?= .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
endif

BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # hundreds of processes would compile the same modules each
UV = $(or $(shell command -v uv),$(wildcard .boot/bin/uv),$(BIN)/uv)

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo demo-down test test-all check lint formatted types contracts domain \
    format faults bench screenshots lock clean packages image mutants postgresql replicas guarantees promises

help:  ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:  ## make .venv with bascule in it (and what it needs of the system)
	@tools/install.sh "$(PYTHON)" "$(VENV)" run

install-dev:  ## the same, with what tests and checks need
	@tools/install.sh "$(PYTHON)" "$(VENV)" dev

demo: install  ## a small real network to try it on: https://localhost:8443/portal
	@$(BIN)/bascule lab up --detach

demo-down:  ## take the demo's network down again
	@$(BIN)/bascule lab down

test: install-dev  ## the suite without its long tests; says at the end what was not run here, and why
	@tools/test.sh "$(BIN)"

test-all: install-dev  ## what takes longer than the suite, and nothing of it: long tests, PostgreSQL, an eighth of the mutants, faults by chance
	@code=0; \
	tools/postgresql.sh "$(BIN)" first || code=1; \
	$(BIN)/python tools/mutants --every 8 --offset "$$(git rev-list --count HEAD 2>/dev/null || date +%j)" || code=1; \
	tools/long.sh "$(BIN)" || code=1; \
	$(MAKE) --no-print-directory PYTHON="$(PYTHON)" VENV="$(VENV)" faults N=10 SEED=21 || code=1; \
	exit $$code

check: install-dev  ## lint, form, types, import contracts, every branch of domain/
	@$(MAKE) --no-print-directory --keep-going PYTHON="$(PYTHON)" VENV="$(VENV)" \
	    lint formatted types contracts domain guarantees

lint:
	$(BIN)/ruff check .

formatted:
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy src/bascule tests bench
	MYPYPATH=tools/mutants $(BIN)/mypy tools --exclude tools/packages  # its scripts import each other from beside them
	MYPYPATH=tools/packages:src $(BIN)/mypy tools/packages  # as above

contracts:
	$(BIN)/lint-imports --no-logo

domain:
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q $(wildcard tests/unit/test_domain_*.py)
	@$(BIN)/coverage combine -q
	$(BIN)/coverage report --include='src/bascule/domain/*' --fail-under=100

guarantees:  # every promise has its tests, and every mutant still fits the code
	$(BIN)/python tools/guarantees.py --check
	$(BIN)/python tools/mutants --check

promises:  ## write docs/guarantees.md from tests/guarantees.toml
	$(BIN)/python tools/guarantees.py

postgresql: install-dev  ## all tests of API, portal and use cases on PostgreSQL; "make test" runs them on SQLite
	@tools/postgresql.sh "$(BIN)" all

mutants: install-dev  ## break the code a line at a time: is each break caught by its test?
	@$(BIN)/python tools/mutants $(NAMES)

format:  ## put the code into its form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

replicas: install-dev  ## three servers over PostgreSQL: the README's walk, then two of them killed while people ask; needs root
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest -q tests/e2e/replicas.py

N ?= 20
SEED ?= 1
POSTGRESQL ?= none
faults: install-dev  ## N=200 random schedules from SEED=1 on, POSTGRESQL=half or all of them on replicas, planted bugs, agents killed at steps of a request; needs root
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.faults --runs $(N) --seed $(SEED) --postgresql $(POSTGRESQL)

bench: install  ## measure ask-to-open beside the peers, and a fleet of 2,000; writes bench/results/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m bench
	$(BIN)/python -m bench.gateway --rounds 1
	$(BIN)/python -m bench.initiate
	$(BIN)/python -m bench.powershell
	$(BIN)/python -m bench.pages --machines 50000 --requests 10000 --rounds 5 --dry  # the full size takes ten minutes
	$(BIN)/python -m bench.fleet --agents 2000 --settle 3 --idle 10 --asking 8  # two minutes

screenshots: install-dev  ## pictures of the portal's pages, into docs/screenshots; needs root
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest -q tests/e2e/portal/screenshots.py

packages: install-dev  ## build dist/: .deb and .rpm of agent, server and command line, an apt repository, checksums (SIGN=KEY: signed by gpg)
	@$(BIN)/python tools/packages --uv "$(UV)" $(if $(SIGN),--sign "$(SIGN)")

image: packages  ## build dist/image: a container image of the server (OCI layout), without a daemon; needs mmdebstrap
	@$(BIN)/python tools/packages/image.py

lock:  ## resolve the lock files again (OPTIONS=--upgrade for newer versions)
	@tools/lock.sh $(UV) $(OPTIONS)

clean:  ## remove the environments, caches and builds
	rm -rf .venv .venv-* .boot .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    .import_linter_cache .coverage .coverage.* dist build
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
