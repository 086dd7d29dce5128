# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: demo test engines lab bench e2e lint clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "buildr needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[test]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m tests.demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

engines: $(VENV)/.installed
	$(BIN)/python -m tests.engines install
	$(BIN)/python -m tests.engines base

lab: $(VENV)/.installed
	$(BIN)/jupyter lab notebooks

bench: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks

e2e: $(VENV)/.installed
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check buildr_jupyter tests
	$(BIN)/ruff format --check buildr_jupyter tests
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
