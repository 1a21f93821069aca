# PYTHON names the interpreter to build .venv with; without it the first of Python 3.11 to 3.13 that is found.
PYTHON ?=
BIN := .venv/bin

.PHONY: help setup demo test test-slow check bench

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## .venv with everything installed
	@sh scripts/setup.sh $(PYTHON)

demo: setup  ## prototypical networks on 16 labelled digits of each class, ten draws
	$(BIN)/fewshot run --method protonet --preset random --shots 16 --data digits

test: setup  ## the default test suite, a process for each core
	$(BIN)/python -m pytest -n auto

test-slow: setup  ## the tests that take minutes or real data at full size
	$(BIN)/python -m pytest -m slow

check: setup  ## lint, formatting, types, table of rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_rooms.py

bench: setup  ## speed beside a plain torchvision loop, written to benchmarks/results/
	$(BIN)/python benchmarks/plain_loop.py
	$(BIN)/python benchmarks/beside_another.py
