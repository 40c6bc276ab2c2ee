# Everything runs inside .venv, which `make setup` builds from the lock file; the other targets call it when needed.

PYTHON ?= python3
PROCESSES ?= 2
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test faults check docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Build .venv from the lock file

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Prosa needs Python 3.11 or newer; choose one with: make PYTHON=/path/to/python3.12 setup" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python scripts/install.py
	@touch $@

run: $(STAMP) ## Start everything on this machine, with nothing installed beforehand; ARGS="--workers 3"
	@exec $(BIN)/prosa dev $(ARGS)

test: $(STAMP) ## Run the whole test suite on real servers, or what ARGS names
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile -m "not alone"
	$(BIN)/python -m pytest -m alone
endif

faults: $(STAMP) ## Break the real processes at every step and count; ARGS="--seed 7 --minutes 30", ARGS=--help
	@$(BIN)/python -m tests.harness $(ARGS)

check: $(STAMP) ## Format, lint and type check, in seconds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(STAMP) ## Write what is generated from the settings, the metrics and the schema
	$(BIN)/python -m scripts.env_example > .env.example
	$(BIN)/python -m scripts.configuration > docs/configuration.md
	$(BIN)/python -m scripts.metrics_list > docs/metrics.md
	$(BIN)/python -m scripts.data_model

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet

lock: ## Resolve the dependencies anew (needs uv)
	$(LOCK) pyproject.toml --extra embedded --extra otel --extra dev -o requirements.lock
	$(LOCK) pyproject.toml --extra otel -c requirements.lock -o docker/runtime.lock
	printf 'jinja2\ntwilio\n' | $(LOCK) - -c requirements.lock -o docker/simulator.lock
	echo hatchling | $(LOCK) - -c requirements.lock -o docker/build.lock

clean: ## Remove .venv, caches and the embedded servers' data
	rm -rf .venv .prosa .mypy_cache .ruff_cache .pytest_cache
