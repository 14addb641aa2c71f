# The commands of the README. Everything is installed into .venv, from locked and hashed requirements.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet $(UPGRADE)

.PHONY: serve install dev ocr test check format bench bench-knowledge evaluate soak fuzz lock clean help
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-15s %s\n", $$1, $$2}'

serve: install ## serve the API; options: make serve ARGS="--port 9000"
	@exec $(BIN)/agentchat serve $(ARGS)

install: .venv/.runtime ## what serving needs, into .venv
dev: .venv/.dev ## what developing needs, into .venv

ocr: install ## what recognising text in scanned pages needs, into .venv
	@$(PIP) --require-hashes --requirement requirements/ocr.txt

# One process more than cores, for many tests wait for a server; who is done early takes over from the others.
# Hundreds of tests start a Python, which would compile every module anew where the environment forbids to keep them.
TESTERS = $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() + 1))')

test: dev ## every test; one: make test ARGS="tests/unit/test_settings.py"
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(TESTERS) --dist worksteal $(ARGS)

check: dev ## formatting, lints, types, import contracts, what no file may name
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@! git grep -nIE 'pypi[.]org|files[.]pythonhosted|npmjs[.]org|--(extra-)?index-ur[l]|"resolve[d]": "http' || \
		{ echo 'These lines name a package registry: the address belongs to the machine, not the project.'; exit 1; }
	@! git grep -nIE '(^|[^A-Za-z0-9_.])/(home|root|Users)/[A-Za-z0-9]' || \
		{ echo "These lines name a folder of somebody's machine."; exit 1; }

format: dev ## put code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: dev ## measure: CPU a token, first token, requests a second
	@$(BIN)/python bench/run.py $(ARGS)

bench-knowledge: dev ## measure knowledge: finding, taking in, and the memory that it takes
	@$(BIN)/python bench/knowledge_speed.py $(ARGS)

evaluate: dev ## measure retrieval: do questions find their answers in Debian's manuals?
	@$(BIN)/python bench/retrieval.py $(ARGS)

soak: dev ## cut, kill and restart for minutes: does every client get its whole answer?
	@$(BIN)/python bench/cuts.py $(ARGS)

fuzz: dev ## damage documents for minutes: does the parser survive each?
	@$(BIN)/python bench/mutations.py $(ARGS)

lock: dev ## resolve again; newest versions: make lock UPGRADE=--upgrade
	$(LOCK) --group build --output-file requirements/runtime.txt
	$(LOCK) --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(LOCK) --extra ocr --constraint requirements/dev.txt --output-file requirements/ocr.txt

clean: ## remove .venv and caches, never data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'agentchat needs Python 3.11 or newer, and $(PYTHON) is not. Name one: make serve PYTHON=python3.12' >&2; \
		exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo '$(PYTHON) can make no virtual environment; on Debian and Ubuntu install python3-venv.' >&2; exit 1; }

.venv/.runtime: requirements/runtime.txt pyproject.toml | .venv/bin/python
	@echo 'Installing into .venv: the first time this takes a minute or two …'
	@$(PIP) --require-hashes --requirement requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.runtime
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@touch $@
