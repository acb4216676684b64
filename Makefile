# Every command sets up what it needs first. `make help` lists them. make's variables and the environment reach what it
# starts: `make serve PORT=9191 MODEL_DIR=/srv/models` or `LABEL_STUDIO_API_KEY=... make serve`. ARGS goes to the program
# itself: `make test ARGS="-k webhook"`, `make demo ARGS=--exit`.

SHELL := bash
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do $$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)
# PyTorch's builds without CUDA, which on Linux are gigabytes smaller than PyPI's.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(VENV)/bin
LS_VENV := .venv-label-studio
# Byte code is written for what is imported, not for everything at installation (a minute less).
# Pins of others are disregarded on purpose (requirements-base.txt), so pip need not warn of them.
export PYTHONDONTWRITEBYTECODE :=
PIP_INSTALL := -m pip install --disable-pip-version-check --no-compile --no-warn-conflicts
# After each installation: it would bring back what the pins ask for.
INSTALL_BASE = $(BIN)/python $(PIP_INSTALL) --quiet --no-deps -r requirements-base.txt
TORCH := $(shell sed -n 's/^\(torch==[^ ;]*\).*/\1/p' requirements.txt)
# pip's hundreds of lines become one a package; its errors and warnings pass.
BRIEFLY := | awk '/^Collecting /{print "  " $$2; fflush()} /^Installing collected/{print "  installing " NF-3 " packages ..."; fflush()}'

.DEFAULT_GOAL := help
.PHONY: help demo test serve e2e bench stress fuzz check clean

help:  ## this list
	@sed -n 's/^\([a-z0-9]*\):.*  ## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

demo: $(VENV)/.serve $(LS_VENV)/.installed  ## Label Studio, this backend and a sample project, connected and trained
	@$(BIN)/python -m demo $(ARGS)

test: $(VENV)/.test  ## unit and backend tests
	@$(BIN)/python -m pytest $(ARGS)

serve: $(VENV)/.serve  ## the backend alone, on PORT (9090)
	@exec $(BIN)/gunicorn -c gunicorn.conf.py _wsgi:app

e2e: $(VENV)/.e2e $(LS_VENV)/.installed  ## tests against a real Label Studio, in a real browser
	@$(BIN)/python -m pytest tests/e2e $(ARGS)

bench: $(VENV)/.bench  ## quality, speed, memory and serving, each beside its target: an hour
	@$(BIN)/python -m bench $(ARGS)

stress: $(VENV)/.test  ## kills and load, as tables; ten minutes
	@$(BIN)/python -m stress $(ARGS)

fuzz: $(VENV)/.fuzz  ## input that nobody meant, 20 minutes for each of four parts; needs Python 3.11 or newer
	@$(BIN)/python -m fuzz $(ARGS)

check: $(VENV)/.test  ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:  ## remove the virtual environments and caches, not models nor the demo's data
	rm -rf $(VENV) $(LS_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment is made once, and its packages installed again whenever the files that name them change.
$(VENV)/bin/python $(LS_VENV)/bin/python:
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || \
	  { echo "Python 3.10 to 3.13 is needed and $(or $(PYTHON),python3) is not one: install one, or name it with PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)"; exit 1; }
	@"$(PYTHON)" -m venv --upgrade-deps $(dir $(@D))

$(VENV)/.serve: requirements-base.txt requirements.txt | $(BIN)/python
	@echo "Setting up $(VENV) for the backend (once, a few minutes):"
	@echo "- $(TORCH), from $(TORCH_INDEX)"
	@$(BIN)/python $(PIP_INSTALL) --retries 1 --timeout 15 --no-deps --index-url $(TORCH_INDEX) $(TORCH) || \
	  echo "  not to be had there: it comes from the ordinary index, with CUDA, which takes longer"
	@echo "- the rest"
	@set -o pipefail; $(BIN)/python $(PIP_INSTALL) -r requirements.txt $(BRIEFLY)
	@$(INSTALL_BASE)
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.serve
	@echo "Adding the tools for tests to $(VENV):"
	@set -o pipefail; $(BIN)/python $(PIP_INSTALL) -r requirements-test.txt $(BRIEFLY)
	@$(INSTALL_BASE)
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.test
	@echo "Adding what the benchmarks compare with and draw with to $(VENV):"
	@set -o pipefail; $(BIN)/python $(PIP_INSTALL) -r requirements-bench.txt $(BRIEFLY)
	@$(INSTALL_BASE)
	@touch $@

$(VENV)/.fuzz: requirements-fuzz.txt $(VENV)/.test
	@echo "Adding the fuzzer to $(VENV):"
	@set -o pipefail; $(BIN)/python $(PIP_INSTALL) -r requirements-fuzz.txt $(BRIEFLY)
	@$(INSTALL_BASE)
	@touch $@

$(VENV)/.e2e: requirements-e2e.txt $(VENV)/.test
	@echo "Adding the browser driver to $(VENV):"
	@set -o pipefail; $(BIN)/python $(PIP_INSTALL) -r requirements-e2e.txt $(BRIEFLY)
	@$(INSTALL_BASE)
	@touch $@

$(LS_VENV)/.installed: requirements-label-studio.txt | $(LS_VENV)/bin/python
	@echo "Setting up $(LS_VENV) for Label Studio (once, a few minutes):"
	@set -o pipefail; $(LS_VENV)/bin/python $(PIP_INSTALL) -r requirements-label-studio.txt $(BRIEFLY)
	@touch $@
