# Everything a clone can do. It needs Python 3.11 or newer (with venv), git and make; `make help` lists the words.
# Nothing is installed twice: .venv/installed is newer than what it was made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
CODE := src tests benchmarks scripts
FLOORS := xinglin.kernel xinglin.core xinglin.access

.DEFAULT_GOAL := help
.PHONY: help install demo serve test lint bench security lock doctor clean

help: ## List these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Create .venv and install what the lock file says

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Xinglin needs Python 3.11 or newer; $(PYTHON) is older. Name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) lacks venv. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing packages into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@$(BIN)/python -m compileall -q src # also where Python writes no bytecode by itself: a node starts in half the time
	@touch $@

demo: $(STAMP) ## Start a demo county at http://127.0.0.1:8080 (ARGS="--people 1000 --port 9000")
	@$(BIN)/xinglin demo $(ARGS)

serve: $(STAMP) ## Serve the record (settings: docs/reference/settings.md)
	@$(BIN)/xinglin serve $(ARGS)

test: $(STAMP) ## Run the whole test suite (ARGS="tests/unit -k name")
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) ## Check style, types and the floors
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy $(addprefix -p ,$(FLOORS))
	@$(BIN)/lint-imports

bench: $(STAMP) ## Measure load and read rates on this machine
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python "$$file" $(ARGS) || exit 1; done

security: $(STAMP) ## Run the attack cases
	@$(BIN)/python -m pytest tests/security $(ARGS)

doctor: $(STAMP) ## Check this installation and say what to mend
	@$(BIN)/xinglin doctor $(ARGS)

lock: ## Resolve the newest versions into requirements.lock (maintainers)
	@$(PYTHON) scripts/lock.py

clean: ## Remove .venv and caches; the demo's data stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
