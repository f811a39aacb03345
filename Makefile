# Everything a developer runs. `make setup` needs only Python 3.11 or later, g++, make and perl.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ROOMS  := tritforge compress rtl sim reports
TYPING := build/typing/tritforge

.PHONY: help setup demo test test-slow lint format arrows

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: $(READY) ## create the environment in .venv (everything but the board's)

# torch goes first, pinned: a resolver that is free to choose may fetch gigabytes of GPU packages.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt torch
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[all,dev]'
	$(BIN)/python -m pip check
	@touch $@

demo: setup ## the whole tour: train, prune, export, simulate, patch
	$(BIN)/tritforge demo

# A test file is the unit of distribution, so a fixture of module scope (a simulator build, say) is made once.
test: lint ## lint, then every test that is not marked slow
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: setup ## the tests marked slow
	$(BIN)/python -m pytest -m slow $(ARGS)

# The rooms are imported as tritforge.<room>; mypy sees them so through a folder of links.
lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo 'some files are not formatted; run make format'; exit 1; }
	@rm -rf $(TYPING) && mkdir -p $(TYPING)
	@ln -s $(CURDIR)/tritforge/* $(addprefix $(CURDIR)/,$(filter-out tritforge,$(ROOMS))) $(TYPING)/
	cd $(TYPING)/.. && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p tritforge

format: setup ## sort imports and lay out the code
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

arrows: setup ## the import graph: arrows between and inside rooms, floors, circles, and what is wrong
	$(BIN)/python tests/import_arrows.py
