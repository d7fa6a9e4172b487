# Two commands from a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
export OMP_WAIT_POLICY = PASSIVE
# Tests start hundreds of processes: each would compile the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all coverage check bench bench-quick install clean

# A verdict is no error: some cells of the quickstart fail by design.
demo: .venv/demo
	$(BIN)/harness bench matrices/quickstart.toml; status=$$?; \
	case $$status in 0|1|6) exit 0;; *) exit $$status;; esac

# One thread a worker: workers that each take all cores get in each other's way. Three workers keep two cores busy, since
# tests that start processes or read the clock wait for a quarter of their time.
# Neighbours in the list of tests share fixtures, so each worker takes one stretch of it (worksteal).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(JOBS) --dist worksteal
test: .venv/dev
	$(PYTEST)

# The slow ones too: simulated error rates, compilation of whole denoisers. For the night.
test-all: .venv/dev
	$(PYTEST) -m ""

coverage: .venv/dev
	$(PYTEST) --cov --cov-report=term:skip-covered

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev
	$(BIN)/python -m tests.benchmarks.demo_against_naive

# Every script once, as short as it goes: none rots. The naive script runs within demo_against_naive.
BENCHMARKS := $(filter-out naive_quickstart,$(basename $(notdir $(wildcard tests/benchmarks/*.py))))
bench-quick: .venv/dev
	printf '%s\n' $(BENCHMARKS) | OMP_NUM_THREADS=1 xargs -P $(JOBS) -I SCRIPT $(BIN)/python -m tests.benchmarks.SCRIPT --quick

install: .venv/demo

.venv/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	touch $@

.venv/demo: .venv/uv pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/demo
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv build dist
