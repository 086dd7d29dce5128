# Two commands do everything on a fresh machine: make demo, make test. make help lists the others.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Tests wait for two fifths of their time, so that a third process uses what two leave of two processors. Each has engines
# of its own (1.5 GB): make test PROCESSES=2 where memory is short.
PROCESSES ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test unit test-without-engines coverage engines lab bench e2e matrix faults crash proofs fuzz load minimum audit lint \
	docs dist lock clean contract

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "buildr needs Python 3.11 or later")'
	@echo "making $(VENV) with what the project needs (the first time, some minutes) …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e . --group dev
	touch $@

# The tests start some thousand processes. Where PYTHONDONTWRITEBYTECODE is set, as in many containers, each compiles what
# it imports, unless it is compiled already: pandas takes 1.9 s of a processor then, and 0.6 s otherwise.
.PHONY: compiled
compiled: $(VENV)/.installed
	@$(BIN)/python -m compileall -q buildr_jupyter tests/engines tests/fakes tests/faults

demo: $(VENV)/.installed  ## Build and run the quickstart's image, and say where it is
	$(BIN)/python -m tests.demo

# Processes, each with engines and a network namespace of its own, or as a user all engines in one of them.
test: compiled  ## Run all tests with what engines there are; PYTEST_ARGS="…" goes to pytest
	$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadscope $(PYTEST_ARGS)

unit: compiled  ## Run the unit tests, which need no engine
	$(BIN)/python -m pytest tests/unit --numprocesses=$(PROCESSES) --dist=loadscope $(PYTEST_ARGS)

# As on a machine that has none: what asks for an engine or its programs, the rest of the unit tests does not.
WITHOUT_ENGINES := tests/integration tests/test_seed_api.py tests/e2e tests/faults tests/unit/builder \
	tests/unit/engine tests/unit/test_cli.py
test-without-engines: compiled  ## Run what asks for engines with all of them hidden
	$(BIN)/python -m tests.engines without $(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadscope \
		$(WITHOUT_ENGINES) $(PYTEST_ARGS)

# Of the unit tests alone; the floor is what they reach today, rounded down.
coverage: compiled  ## Measure what the unit tests reach; fails below the floor
	$(BIN)/python -m pytest tests/unit --numprocesses=$(PROCESSES) --dist=loadscope --cov --cov-report=term \
		--cov-fail-under=$(COVERAGE_FLOOR) $(PYTEST_ARGS)
COVERAGE_FLOOR := 75

engines: $(VENV)/.installed  ## Install the engines and the base image of the tests (Debian, root)
	$(BIN)/python -m tests.engines install
	$(BIN)/python -m tests.engines base

lab: $(VENV)/.installed  ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

# All of them, or those that are named: make bench ONLY="oci sweep".
ONLY ?=
bench: $(VENV)/.installed  ## Print the benchmarks: ratios that were measured in one run
	$(BIN)/python -m tests.benchmarks $(ONLY)

e2e: $(VENV)/.installed  ## Run the browser tests
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

# Each pair in a throw-away environment; half an hour.
matrix: $(VENV)/.installed  ## Run the pane in the last releases of ipykernel, JupyterLab and Notebook
	$(BIN)/python -m tests.e2e.matrix

# All of the fault matrix, interrupts, and the guard's false alarms over every file (the tests have some of each):
# make faults FAULTS_ARGS="--builder oci" runs a part; --write puts the counts into docs/explanation/reliability.md, and
# --keep FILE --seconds 240 runs a builder in pieces.
FAULTS_ARGS ?=
faults: $(VENV)/.installed  ## Bring every fault into every stage of every builder
	$(BIN)/python -m pytest tests/faults $(PYTEST_ARGS)
	$(BIN)/python -m tests.faults $(FAULTS_ARGS)

# Of what every builder owes, the tests run a sample on those whose pods are in a cluster; this is all of it.
contract: $(VENV)/.installed  ## Run all of the builders' contract on the builders in a cluster
	BUILDR_CONTRACT=all BUILDR_REQUIRE_ENGINES=all $(BIN)/python -m pytest tests/integration/cluster/test_contract.py \
		$(PYTEST_ARGS)

# The tests have a small one, for docker and for podman: make crash CRASH_ARGS="--runs 20 --kills 5 --seed 1".
CRASH_ARGS ?=
crash: $(VENV)/.installed  ## Kill one sweep of 100 runs thirty times, and see that each is done once
	$(BIN)/python -m tests.faults.crash $(CRASH_ARGS)

# Statements taken out of exported programs, one at a time, and whether the proof notices: two hundred programs (the
# tests have twenty of them); make proofs PROOFS_ARGS="--slices 1000 --first 200" goes on.
PROOFS_ARGS ?=
proofs: $(VENV)/.installed  ## Take statements out of exported programs, and see whether the proof notices
	$(BIN)/python -m tests.proofs $(PROOFS_ARGS)

# Ten million executions over all targets, and a table: make fuzz FUZZ_ARGS="--runs 100000" for a minute, --write for
# docs/reliability.md. python -m tests.fuzz TARGET --seconds N --keep adds what reaches new code to tests/fuzz/corpus.
FUZZ_ARGS ?=
fuzz: $(VENV)/.installed  ## Fuzz the readers of what others send
	$(BIN)/python -m tests.fuzz.long $(FUZZ_ARGS)

LOAD_ARGS ?=
load: $(VENV)/.installed  ## Build at once and one after another: LOAD_ARGS="--builds 100 --write"
	$(BIN)/python -m tests.faults.load $(LOAD_ARGS)

minimum: $(VENV)/.installed  ## Run the unit tests with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-minimum
	$(BIN)/uv pip install --quiet --python .venv-minimum/bin/python --resolution lowest-direct -e . --group test
	.venv-minimum/bin/python -m pytest tests/unit -W default $(PYTEST_ARGS)

audit: $(VENV)/.installed  ## Look the locked versions up among known weaknesses, where the network has them
	$(BIN)/uvx pip-audit --requirement requirements-dev.lock --disable-pip --require-hashes --strict

lint: $(VENV)/.installed  ## Check style, types and spelling
	$(BIN)/ruff check buildr_jupyter tests docs
	$(BIN)/ruff format --check buildr_jupyter tests docs
	$(BIN)/mypy
	$(BIN)/codespell -D - -D docs/banned-words.txt buildr_jupyter tests docs notebooks *.md

docs: $(VENV)/.installed  ## Make the documentation site, without a network: docs/_build/index.html
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs docs/_build

dist: $(VENV)/.installed  ## Make the sdist and the wheel, check both, and build the quickstart with the wheel
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group dist
	$(BIN)/python -m tests.dist dist

lock: $(VENV)/.installed  ## Lock what CI and developers install, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev --generate-hashes --no-emit-index-url \
		--no-header --output-file requirements-dev.lock pyproject.toml

clean:  ## Remove the environment and caches
	rm -rf $(VENV) .venv-minimum .pytest_cache .mypy_cache .ruff_cache docs/_build dist
