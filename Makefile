# Everything a developer or a newcomer types. `make` alone lists it.
# The first python that really runs and is new enough (a version manager's shim may exist and not run).
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
NPM := $(BIN)/python dashboard/npm.py
NODE_MODULES := dashboard/node_modules/.ready
PAGE := src/hydrophone/web/static/index.html
PAGE_SOURCES := $(shell find dashboard -type f -not -path '*/node_modules/*' -not -name '*.gen.ts' -not -name '*.py')
CHROMIUM ?= /usr/bin/chromium
MINUTES ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup dashboard demo run test browser check bench soak evaluate fmt docs site dist lock audit clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY) $(PAGE)  ## install everything into .venv (once; again when the lock changes)

$(READY): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || \
	  { echo "Hydrophone needs Python 3.11 or newer and found none. Set PYTHON=/path/to/python3.11."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "Could not make .venv. On Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(NODE_MODULES): $(READY) dashboard/package-lock.json
	$(NPM) ci --silent
	@touch $@

$(PAGE): $(NODE_MODULES) $(PAGE_SOURCES)
	$(NPM) run --silent types
	$(NPM) run --silent build
	@touch $@

dashboard: $(PAGE)  ## build the dashboard into the package (whenever its sources changed)

demo: $(READY) $(PAGE)  ## hear whales now: the whole service on a simulated mempool
	$(BIN)/hydrophone demo

run: $(READY) $(PAGE)  ## the service, on the mempool.space backend at localhost:8999
	$(BIN)/hydrophone run

# One process per core, but not more than these: some tests start several programs.
WORKERS ?= 4

test: $(READY)  ## the test suite (under five minutes, no root)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses $(WORKERS) --dist worksteal

browser: $(READY) $(PAGE) $(CHROMIUM)  ## the page in a real browser (Chromium; installed when missing, which needs root)
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest tests/browser

$(CHROMIUM):
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes chromium fonts-liberation; fi
	@test -x $@ || { echo "The browser tests need Chromium and found none at $@. On Debian:" \
	  "apt-get install chromium; elsewhere: make browser CHROMIUM=/path/to/chromium"; exit 2; }

check: $(READY) $(PAGE)  ## all that CI runs: format, lint, types, architecture, docs, tests, browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m hydrophone.cli.documentation --check
	$(MAKE) site
	$(NPM) run --silent check
	$(BIN)/python -m evaluation.rest_contract --examples 5 --least 300 --predictions 2000
	.ci/promtool
	$(MAKE) test
	$(MAKE) browser

bench: $(READY)  ## ratios against named baselines, measured in one run (BENCH="--full --json FILE" for all of it)
	$(BIN)/python -m evaluation.benchmarks $(BENCH)

soak: $(READY)  ## the whole service for an hour in a world where everything goes wrong in turn (MINUTES=60)
	$(BIN)/python -m evaluation.soak --minutes $(MINUTES)

evaluate: $(READY)  ## long checks: recordings, quickstart blocks, kills, chaos, simulator, flow; needs ../shared for some
	$(BIN)/python -m evaluation.recordings
	$(BIN)/python -m evaluation.quickstart
	$(MAKE) dist
	$(BIN)/python -m evaluation.wheel
	$(BIN)/python -m evaluation.dashboard_load
	$(BIN)/python -m evaluation.kills
	$(BIN)/python -m evaluation.rest_contract
	$(BIN)/python -m evaluation.rest_cost
	$(BIN)/python -m evaluation.rest_load
	$(BIN)/python -m evaluation.resume --seeds 1 2 3
	$(BIN)/python -m evaluation.recorded_outcomes
	$(BIN)/python -m evaluation.chaos
	$(BIN)/python -m evaluation.outcome_kills
	$(BIN)/python -m evaluation.recovery
	$(BIN)/python -m evaluation.backup_bench
	$(BIN)/python -m evaluation.fidelity
	$(BIN)/python -m evaluation.realism
	$(BIN)/python -m evaluation.simulator_speed
	$(BIN)/python -m evaluation.scenarios
	$(BIN)/python -m evaluation.flow_shapes
	$(BIN)/python -m evaluation.change_detection
	$(BIN)/python -m evaluation.flow_direction
	$(BIN)/python -m evaluation.flow_truths
	$(BIN)/python -m evaluation.confirmation_checks
	$(BIN)/python -m evaluation.confirmation_2014
	$(BIN)/python -m evaluation.confirmation_simulated run calm --blocks 436 --seeds $$(seq 1 8)
	$(BIN)/python -m evaluation.confirmation_simulated run consolidation-season --blocks 300 --seeds $$(seq 1 15)
	$(BIN)/python -m evaluation.confirmation_simulated run congested --blocks 72 --seeds $$(seq 1 85)
	$(BIN)/python -m evaluation.confirmation_simulated run fee-spike --blocks 72 --seeds $$(seq 1 140)
	$(BIN)/python -m evaluation.confirmation_simulated report
	$(BIN)/python -m evaluation.flow_cost

fmt: $(READY)  ## format and mend what a tool can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## write what is made from code: docs/config.md, dashboard/openapi.json
	$(BIN)/python -m hydrophone.cli.documentation

site: $(READY)  ## build the documentation into build/site; a link that leads nowhere fails
	$(BIN)/zensical build --strict

dist: $(READY) $(PAGE)  ## build the source archive, and from it the wheel, into dist/
	rm -rf dist
	$(BIN)/uv build --no-build-isolation --offline --python $(BIN)/python -q

lock: $(READY)  ## resolve pyproject.toml anew into requirements*.txt (with hashes, without hosts)
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --universal --no-annotate --custom-compile-command 'make lock' -q -o requirements.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --universal --no-annotate --custom-compile-command 'make lock' -q -o requirements-dev.txt

audit: $(READY)  ## ask for known holes in what is installed (needs the network)
	$(BIN)/uv tool run pip-audit --require-hashes -r requirements.txt

clean:  ## remove what was made, but not data/
	rm -rf .venv build dist dashboard/node_modules src/hydrophone/web/static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
