# PYTHON names the interpreter that builds .venv; by default the first of Python 3.11 to 3.13 that is installed.
PYTHON ?=
BIN := .venv/bin

CAMPAIGN := tests/campaign

.PHONY: help setup example test test-slow campaign check audit format reports docs bench

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## install everything into .venv
	@sh scripts/setup.sh $(PYTHON)

example: setup  ## compare four methods on 16 labelled digits per class, in a minute
	@$(BIN)/fewshot example

test: setup  ## run the default tests, one process per core
	$(BIN)/python -m pytest -n auto

test-slow: setup .venv/.docs  ## run the tests that take minutes or real data at full size
	$(BIN)/python -m pytest -m slow

campaign: setup  ## attack everything for hours: kills, full disks, bad input (CAMPAIGN=tests/campaign/test_X.py: one part)
	FEWSHOT_CAMPAIGN_RECORDS=reports/records/campaign $(BIN)/python -m pytest -m campaign $(CAMPAIGN)

check: setup  ## lint, formatting, types, imports between folders
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_rooms.py

audit: setup  ## compare the versions of all packages with the list of known vulnerabilities, from the network
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet pip-audit
	.venv/audit/bin/pip-audit -r constraints.txt --no-deps --disable-pip -s osv

format: setup  ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reports: setup  ## write every page under reports/ again, from the records
	$(BIN)/python -m scripts.reports

docs: setup .venv/.docs  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: setup  ## time training and loading beside a plain torchvision loop
	$(BIN)/python -m benchmarks.training_loop_vs_torchvision
	$(BIN)/python -m benchmarks.idle_threads

# The tools that build the documentation and run the notebook; installed when they are first needed.
.venv/.docs: pyproject.toml constraints.txt .venv/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@
