# `make` alone lists what can be made; each target's line below is that list.
.DEFAULT_GOAL := help
.PHONY: help setup run test prove check format messages pictures bench bench-peers bench-growth bench-phone lock clean
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Any Python from 3.11 on will do; the first that is new enough is taken.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# How many processes run the tests, each with servers of its own; 0: this one.
WORKERS ?= 2
VENDOR := specchem/web/static/vendor

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 20

setup: .venv/run.ok ## install what `make run` needs into .venv, in this folder

run: .venv/run.ok ## start the product with demo people on 127.0.0.1:8000
	@SPECCHEM_LOG_FORMAT=$${SPECCHEM_LOG_FORMAT:-text} exec $(BIN)/specchem serve --demo

test: .venv/dev.ok ## set up, then lint, types and every test (WORKERS=0 in one process)
	@$(MAKE) --no-print-directory check
	@bash tools/browser.sh
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile

prove: .venv/dev.ok ## the long proofs: 10,000 random steps, 5,000 random requests, every rule weakened
	@PROVE=long $(BIN)/pytest tests/proof tests/db/test_isolation.py tests/db/test_attack.py

check: .venv/dev.ok ## format, lint, strict types, SQL lint
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint --nocolor --disable-progress-bar specchem/db

messages: .venv/dev.ok ## find what is said, and list what is still to be translated in specchem/locales
	@$(BIN)/python -m tests.messages

pictures: .venv/dev.ok ## take the README's pictures anew, of the demo
	@bash tools/browser.sh
	@$(BIN)/pytest tests/browser/test_demo.py
	@for one in docs/pictures/*.png; do cp .cache/pictures/$$(basename $$one) $$one; done

format: .venv/dev.ok ## put the code into the house's format
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

bench: .venv/dev.ok ## measure against the database's own limit (SIZE="--plants 20 --events 100000" for a small world)
	@bash tools/wrk.sh
	@$(BIN)/python -m benchmarks $(SIZE)

bench-peers: .venv/dev.ok ## the same, and PostGraphile on the same database
	@bash tools/wrk.sh
	@$(BIN)/python -m benchmarks --peers $(SIZE)

bench-growth: .venv/dev.ok ## what 1 to 20 million answers cost (a quarter of an hour)
	@$(BIN)/python -m benchmarks.growth $(SIZE)

bench-phone: .venv/dev.ok ## a learner's pages on a slow line and an old phone (two minutes, in Chromium)
	@$(BIN)/python -m benchmarks.phone

lock: ## resolve the dependencies anew (needs uv; writes names, versions and hashes only)
	@uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --extra build pyproject.toml -o requirements.txt
	@uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --extra build --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean: ## remove what set-up made; your data stays
	@rm -rf .venv node_modules tests/clients/node_modules $(VENDOR)

.venv/python.ok:
	@test -n "$(PYTHON)" || { echo "SpecChem needs Python 3.11 or newer; none was found on the PATH." >&2; exit 1; }
	@echo "Setting up: a virtual environment in .venv ($$($(PYTHON) --version))"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/run.ok: .venv/python.ok requirements.txt requirements-node.txt pyproject.toml package-lock.json
	@echo "Setting up: Python packages (about a minute the first time)"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@bash tools/browser_files.sh $(VENDOR)
	@touch $@

.venv/dev.ok: .venv/run.ok requirements-dev.txt tests/clients/package-lock.json
	@echo "Setting up: what the tests need"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@bash tools/clients.sh
	@touch $@
