# Commands for a bare machine with Python 3.11 or newer: `make demo`, `make test`, `make docs`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

LOCK := $(BIN)/uv pip compile --quiet --upgrade --no-annotate --custom-compile-command 'make lock' \
	--python-version 3.11 pyproject.toml

# Transparent huge pages for large arrays, where the system offers them (Linux with glibc): fewer page faults.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: demo test check types-of-sources types-of-tests docs lock clean

# The packages of a dependency group in pyproject.toml, each quoted.
group = $(shell $(PYTHON) -c 'import tomllib; print(*("\"%s\"" % d for d in tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["$(1)"]))')

demo: $(VENV)/installed
	$(BIN)/potstill distill hopper-medium-replay --out runs/demo --force

test: check
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory --jobs 2 types-of-sources types-of-tests

types-of-sources: $(VENV)/installed-dev
	$(BIN)/mypy

types-of-tests: $(VENV)/installed-dev
	$(BIN)/mypy --config-file tests/mypy.ini

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/docs
	@echo "the documentation is in build/docs/index.html"

# What CI installs, and the oldest versions that pyproject.toml allows. PyTorch is not among these: CI has one version.
lock: $(VENV)/installed-packaging
	$(LOCK) --universal --all-extras $(addprefix --group ,dev docs extras packaging) \
		--output-file requirements/test.txt
	$(LOCK) --resolution lowest-direct --extra arrow --extra minari --extra onnx --group dev \
		--output-file requirements/oldest.txt

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "potstill needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 demo"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/python pyproject.toml
	@echo "installing potstill into $(VENV) (a few minutes the first time)"
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-extras: $(VENV)/installed
	$(PIP) install --editable '.[arrow,collect,encoder,hub,minari,onnx,private,ray,slurm,tensorboard,video]' $(call group,extras)
	@touch $@

$(VENV)/installed-%: $(VENV)/installed
	$(PIP) install $(call group,$*)
	@touch $@

clean:
	rm -rf $(VENV) build/docs .mypy_cache .pytest_cache .ruff_cache
