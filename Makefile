# Everything a checkout needs: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FAULTS ?= 1000
SECONDS ?= 1800
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test fast architectures faults fuzz check bench schema sync-mlx test-versions golden clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "run-recipe needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## set up, and run security_sequential.yaml at toy scale to the end
	$(BIN)/run-recipe recipes/security_sequential.yaml --smoke

test: $(VENV)/.installed  ## set up, and run every test; at least 90 % branch coverage of runner/
	rm -rf .coverage
	$(BIN)/python -m coverage run -m pytest -n auto -m 'not slow or measured'
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=90
	$(BIN)/python -m pytest -n auto -m 'slow and not measured'

fast: $(VENV)/.installed  ## run the tests that need no MLX, in seconds
	$(BIN)/python -m pytest -m 'not slow' -n auto

check: $(VENV)/.installed  ## lint, check types, schemas and shipped recipes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/run-recipe check recipes --tests

bench: $(VENV)/.installed  ## compare the speed with similar tools and write docs/benchmarks.md (ONLY=cold: one group)
	$(BIN)/python -m benchmarks $(ONLY)

architectures: $(VENV)/.installed  ## train, fuse and generate with a tiny model of every mlx-lm architecture (5 minutes)
	$(BIN)/python -m benchmarks.architectures sweep

faults: $(VENV)/.installed  ## break a run at each of its writes in every way, then resume it (an hour; FAULTS=64 limits the number)
	$(BIN)/python -m pytest tests/faults --faults=$(FAULTS) -n auto

fuzz: $(VENV)/.installed  ## search random inputs for hangs, tracebacks and untrue answers (SECONDS=1800 SEED=0)
	$(BIN)/python tests/fuzz $(SECONDS) $(SEED)

schema: $(VENV)/.installed  ## regenerate schema/recipe.schema.json and docs/reference from the catalogue
	$(BIN)/run-recipe schema > schema/.recipe.schema.json
	mv schema/.recipe.schema.json schema/recipe.schema.json
	$(BIN)/run-recipe schema --reference docs/reference

sync-mlx: $(VENV)/.installed  ## compare the catalogue with the installed mlx-lm, both ways (exit 3)
	$(BIN)/run-recipe tools --drift

test-versions: $(VENV)/.installed  ## test the oldest and the newest supported mlx-lm, each in its own environment
	$(BIN)/python tests/versions.py

golden: $(VENV)/.installed  ## rewrite expected messages and snapshots; then read the diff
	$(BIN)/python -m pytest -m 'not slow' --update-golden --snapshot-update

clean:  ## remove generated files
	rm -rf $(VENV) .bench .coverage .fuzz runs build dist .mypy_cache .ruff_cache .hypothesis
