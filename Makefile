# Every command sets up what it needs first. `make help` lists them. make's variables and the environment reach what it
# starts: `make serve PORT=9191 MODEL_DIR=/srv/models` or `LABEL_STUDIO_API_KEY=... make serve`. ARGS goes to the program
# itself: `make test ARGS="-k webhook"`, `make demo ARGS=--exit`.

SHELL := bash
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do $$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)
# PyTorch's builds without CUDA, which on Linux are gigabytes smaller than those of the ordinary index (TORCH=cuda).
TORCH ?= cpu
export TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(VENV)/bin
LS_VENV := .venv-label-studio
# Byte code is written for what is imported, not for everything at installation (a minute less).
export PYTHONDONTWRITEBYTECODE :=
# Exactly what a lock lists, each file with the SHA-256 that is in it.
LOCKED := -m pip install --disable-pip-version-check --no-compile --require-hashes --no-deps --no-warn-conflicts
# pip's hundreds of lines become one a package; its errors and warnings pass.
BRIEFLY := | awk '/^Collecting /{print "  " $$2; fflush()} /^Installing collected/{print "  installing " NF-3 " packages ..."; fflush()}'

.DEFAULT_GOAL := help
.PHONY: help demo test serve e2e bench stress fuzz check lock audit sbom licences clean

help:  ## this list
	@sed -n 's/^\([a-z0-9]*\):.*  ## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

demo: $(VENV)/.serve $(LS_VENV)/.installed  ## Label Studio, this backend and a sample project, connected and trained
	@$(BIN)/python -m demo $(ARGS)

test: $(VENV)/.test  ## unit and backend tests
	@$(BIN)/python -m pytest $(ARGS)

serve: $(VENV)/.serve  ## the backend alone, on PORT (9090)
	@exec $(BIN)/gunicorn -c gunicorn.conf.py _wsgi:app

e2e: $(VENV)/.test $(LS_VENV)/.installed  ## tests against a real Label Studio, in a real browser
	@$(BIN)/python -m pytest tests/e2e $(ARGS)

bench: $(VENV)/.test  ## quality, speed, memory and serving, each beside its target: an hour
	@$(BIN)/python -m bench $(ARGS)

stress: $(VENV)/.test  ## kills and load, as tables: a quarter of an hour
	@$(BIN)/python -m stress $(ARGS)

fuzz: $(VENV)/.fuzz  ## input that nobody meant, 20 minutes for each of four parts; needs Python 3.11 or newer
	@$(BIN)/python -m fuzz $(ARGS)

check: $(VENV)/.test  ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: $(VENV)/.test  ## locks/ made anew from requirements*.txt; ARGS=--upgrade takes the newest releases
	@.ci/lock $(ARGS)

audit: $(VENV)/.test  ## known vulnerabilities of what is locked: none, or it fails
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes -r locks/test.txt -r locks/torch-cuda.txt

sbom: build/serve/.serve $(VENV)/.test  ## build/sbom.cdx.json: what `make serve` installs here, as CycloneDX
	@$(BIN)/cyclonedx-py environment build/serve/bin/python --pyproject pyproject.toml --output-reproducible --output-file build/sbom.cdx.json

# With PYTHON=python3.10 TORCH=cuda, after `make clean`, it has every package of every lock.
licences: build/serve/.serve $(VENV)/.test  ## docs/licences.md made anew
	@{ sed '/^|/,$$d' docs/licences.md; $(BIN)/pip-licenses --python build/serve/bin/python --with-system --no-version --format markdown; } \
	  >build/licences.md && mv build/licences.md docs/licences.md

clean:  ## remove the virtual environments and caches, not models nor the demo's data
	rm -rf $(VENV) $(LS_VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment is made once, and its packages installed again whenever their lock changes.
$(VENV)/bin/python $(LS_VENV)/bin/python build/serve/bin/python:
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || \
	  { echo "Python 3.10 to 3.13 is needed and $(or $(PYTHON),python3) is not one: install one, or name it with PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)"; exit 1; }
	@"$(PYTHON)" -m venv $(dir $(@D))
	@$@ $(LOCKED) --quiet -r locks/pip.txt

%/.serve: locks/serve.txt locks/torch-cpu.txt locks/torch-cuda.txt | %/bin/python
	@echo "Setting up $(@D) for the backend (once, a few minutes):"
	@echo "- PyTorch, from $(if $(filter cpu,$(TORCH)),$(TORCH_INDEX),the ordinary index)"
	@[ "$(TORCH)" = cpu ] && $(@D)/bin/python $(LOCKED) --retries 1 --timeout 15 --index-url $(TORCH_INDEX) -r locks/torch-cpu.txt || \
	  { echo "- PyTorch with CUDA, from the ordinary index: gigabytes"; $(@D)/bin/python $(LOCKED) -r locks/torch-cuda.txt; }
	@echo "- the rest"
	@set -o pipefail; $(@D)/bin/python $(LOCKED) --only-binary :all: -r locks/serve.txt $(BRIEFLY)
	@touch $@

$(VENV)/.test: locks/test.txt | $(VENV)/.serve
	@echo "Adding the developers' tools to $(VENV):"
	@set -o pipefail; $(BIN)/python $(LOCKED) --only-binary :all: -r locks/test.txt $(BRIEFLY)
	@touch $@

$(VENV)/.fuzz: locks/fuzz.txt | $(VENV)/.test
	@echo "Adding the fuzzer to $(VENV):"
	@set -o pipefail; $(BIN)/python $(LOCKED) --only-binary :all: -r locks/fuzz.txt $(BRIEFLY)
	@touch $@

$(LS_VENV)/.installed: locks/label-studio.txt | $(LS_VENV)/bin/python
	@echo "Setting up $(LS_VENV) for Label Studio (once, a few minutes):"
	@set -o pipefail; $(LS_VENV)/bin/python $(LOCKED) -r locks/label-studio.txt $(BRIEFLY)
	@touch $@
