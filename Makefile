# Deskhand. `make run` opens the bot on localhost; `make test` proves it. Both set everything up.

PYTHON ?= python3
BIN := .venv/bin
# pip only: it takes a torch wheel from a local folder or index as pip is configured, where other
# installers would fetch the CUDA build. See README, "Install", for CPU-only machines.
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: run test lint types check setup setup-dev clean
.DEFAULT_GOAL := run

# `make run DEMO=1` fills the review console with a made-up month, in a data folder of its own.
run: setup
	$(BIN)/deskhand serve $(if $(DEMO),--demo,--sample)

test: setup-dev
	.ci/system-parts
	$(BIN)/python -m pytest

lint: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup-dev
	$(BIN)/mypy

check: lint types test

setup: .venv/.ready
setup-dev: .venv/.ready-dev

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else "Deskhand needs Python 3.11 or 3.12; run make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv

.venv/.ready: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "Installing Deskhand (the first time takes a few minutes)…"
	$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/.ready-dev: .venv/.ready
	@echo "Installing what the tests need…"
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis artifacts
