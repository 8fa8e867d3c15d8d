# `make demo` and `make test` set everything up. The other targets are for people who work on featx.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/featx

.PHONY: demo test test-long test-lowest audit check release-check lint types imports docs clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("featx needs Python 3.11 or newer; try: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[imagenet,openvino]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed  ## install, then run the three headline commands on the sample catalogue
	$(RUN) extract data/train
	$(RUN) fit --clf svm
	$(RUN) similar sku123.jpg
	@echo
	@echo "Look at:  artifacts/embeddings/ (the features), artifacts/models/ (the classifier and its card)"
	@echo "Now your own photos:  $(RUN) extract FOLDER-OF-PHOTOS"

test: $(VENV)/.installed-dev  ## install with the development extra, then run the default test suite
	$(BIN)/python -m pytest -n auto --dist worksteal

test-long: $(VENV)/.installed-dev  ## the long runs: many kills, many damaged files, many photos
	HYPOTHESIS_PROFILE=wandering $(BIN)/python -m pytest -m long

test-lowest:  ## the test suite with the lowest versions that pyproject.toml allows, in .venv-lowest
	.ci/lowest

audit: $(VENV)/.installed-dev  ## known vulnerabilities of every installed package; asks the package index
	$(BIN)/python .ci/audit

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

imports: $(VENV)/.installed-dev
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev  ## regenerate docs/cli.md, errors.md, report-schema.md; the tables of backbones: docs/generate.py --networks
	$(BIN)/python docs/generate.py

check: lint types imports test

release-check: check test-lowest audit test-long  ## everything a release must pass; hours

clean:
	rm -rf $(VENV) .venv-lowest build dist .pytest_cache .mypy_cache .ruff_cache
