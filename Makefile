# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: demo test test-without-engines engines lab bench e2e matrix faults proofs fuzz load minimum audit lint lock clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "buildr needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[test]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m tests.demo

# Two processes, each with engines and a network namespace of its own, or as a user all engines in one of them.
test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadscope $(PYTEST_ARGS)

# As on a machine that has none: what asks for an engine or its programs, the rest of the unit tests does not.
WITHOUT_ENGINES := tests/integration tests/test_seed_api.py tests/e2e tests/faults tests/unit/builder \
	tests/unit/engine tests/unit/test_cli.py
test-without-engines: $(VENV)/.installed
	$(BIN)/python -m tests.engines without $(BIN)/python -m pytest --numprocesses=2 --dist=loadscope \
		$(WITHOUT_ENGINES) $(PYTEST_ARGS)

engines: $(VENV)/.installed
	$(BIN)/python -m tests.engines install
	$(BIN)/python -m tests.engines base

lab: $(VENV)/.installed
	$(BIN)/jupyter lab notebooks

bench: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks

e2e: $(VENV)/.installed
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

# The pane in the last releases of ipykernel and JupyterLab, each in a throw-away environment; half an hour.
matrix: $(VENV)/.installed
	$(BIN)/python -m tests.e2e.matrix

# All of the fault matrix, interrupts, and the guard's false alarms over every file (the tests have some of each):
# make faults FAULTS_ARGS="--builder oci" runs a part; --write puts the counts into README.md.
FAULTS_ARGS ?=
faults: $(VENV)/.installed
	$(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)
	$(BIN)/python -m tests.faults $(FAULTS_ARGS)

# Statements taken out of exported programs, one at a time, and whether the proof notices: two hundred programs (the
# tests have twenty of them); make proofs PROOFS_ARGS="--slices 1000 --first 200" goes on.
PROOFS_ARGS ?=
proofs: $(VENV)/.installed
	$(BIN)/python -m tests.proofs $(PROOFS_ARGS)

# Ten million executions over all targets, and a table: make fuzz FUZZ_ARGS="--runs 100000" for a minute, --write for
# the README. python -m tests.fuzz TARGET --seconds N --keep adds what reaches new code to tests/fuzz/corpus.
FUZZ_ARGS ?=
fuzz: $(VENV)/.installed
	$(BIN)/python -m tests.fuzz.long $(FUZZ_ARGS)

# Builds at once and one after another: make load LOAD_ARGS="--builds 100 --write".
LOAD_ARGS ?=
load: $(VENV)/.installed
	$(BIN)/python -m tests.faults.load $(LOAD_ARGS)

# The unit tests with the oldest versions that pyproject.toml allows.
minimum: $(VENV)/.installed
	$(PYTHON) -m venv .venv-minimum
	$(BIN)/uv pip install --quiet --python .venv-minimum/bin/python --resolution lowest-direct -e ".[test]"
	.venv-minimum/bin/python -m pytest tests/unit -W default $(PYTEST_ARGS)

# Known weaknesses of what is locked, where the network has the service that knows them.
audit: $(VENV)/.installed
	$(BIN)/uvx pip-audit --requirement requirements-dev.lock --disable-pip --require-hashes --strict

lint: $(VENV)/.installed
	$(BIN)/ruff check buildr_jupyter tests
	$(BIN)/ruff format --check buildr_jupyter tests
	$(BIN)/mypy

# The versions and hashes that CI and developers install: uv pip install --require-hashes -r requirements-dev.lock
lock: $(VENV)/.installed
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra test --generate-hashes --no-emit-index-url \
		--no-header --output-file requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
