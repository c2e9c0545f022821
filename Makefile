# Every target sets up what it needs. `make` alone lists them.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$name; break; fi; done)
BIN := .venv/bin
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test check simulate mutants bench format serve clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The stamp is older than pyproject.toml whenever a dependency may have changed.
.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/ready ## sync real wallets from a local provider into a database, and verify them
	$(BIN)/tallybook demo

test: .venv/ready ## run every test, on SQLite and on Postgres
	$(BIN)/pytest -n $(WORKERS)

check: .venv/ready ## format, lint, types, layers, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

simulate: .venv/ready ## run seeded schedules: make simulate SEEDS=10000 FROM=0
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000) --from $(or $(FROM),0)

mutants: .venv/ready ## plant known bugs and see that the simulation finds each
	$(BIN)/python -m tests.simulation.mutants

bench: .venv/ready ## measure every ratio and write docs/performance.md
	$(BIN)/python -m benchmarks

format: .venv/ready ## rewrite the layout of the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: .venv/ready ## serve the API on http://127.0.0.1:8000
	$(BIN)/tallybook serve

clean: ## remove the virtual environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
