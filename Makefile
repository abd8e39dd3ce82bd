# Two commands: `make demo` runs the main job on a real shop, `make test` runs every test.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export OPENBLAS_NUM_THREADS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := true

.PHONY: demo test lint bench lock clean

.venv/ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	touch .venv/ready

demo: .venv/ready
	$(BIN)/okaeri demo

test: .venv/ready lint
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SIZE ?= ci
bench: .venv/ready
	$(BIN)/python -m tests.benchmarks --size $(SIZE)

lock: .venv/ready
	$(BIN)/uv pip compile -q --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
	  --extra demo --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv build *.egg-info
