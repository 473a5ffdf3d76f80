# Two commands: `make demo` and `make test`. Each makes .venv by itself.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Everything the commands make stays in the clone.
export EMBEDDING_MODELS_DIR ?= $(CURDIR)/.artifacts/models

.PHONY: help demo test check lint types wheel bench bench-quick report clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(READY) ## the whole path once; ARGS="--json", ARGS="--images DIR", …
	@$(BIN)/vla-embeddings demo $(ARGS)

test: $(READY) ## all tests, on real servers and graphs; ARGS="-k search", ARGS="-n 0" for one process, …
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint types wheel ## all that CI checks besides the tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy
	$(BIN)/pyright

wheel: $(READY) ## build sdist and wheel, and look at what is in them
	rm -rf dist build
	$(BIN)/python -m build --quiet .
	$(BIN)/check-wheel-contents --toplevel vla_embeddings dist/*.whl
	rm -rf .artifacts/wheel
	$(BIN)/pip install --quiet --no-deps --target .artifacts/wheel dist/*.whl
	@cd .artifacts/wheel && PYTHONPATH=. ../../$(BIN)/python -c \
	  "import vla_embeddings as v, vla_embeddings.cli.app, vla_embeddings.search, vla_embeddings.export.exporter; \
	  assert v.__file__.startswith('$(CURDIR)/.artifacts/wheel'), v.__file__; print('The wheel imports.')"

bench: $(READY) ## all suites beside their peers, ten to fifteen minutes; ARGS=search, ARGS="latency --long", …
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(READY) ## the same with few turns, two minutes; figures are only printed
	$(BIN)/python -m benchmarks --quick $(ARGS)

report: $(READY) ## docs/benchmarks/ and the README's figures, from benchmarks/results/
	$(BIN)/python -m benchmarks.report $(ARGS)

clean: ## remove everything the commands made
	rm -rf .venv .artifacts build dist *.egg-info

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' || \
	  { echo "Python 3.11 or newer with venv is needed (Debian: apt install python3-venv)."; exit 1; }
	@echo "Installing packages into .venv, once. PyTorch alone is hundreds of megabytes."
	@$(PYTHON) -m venv .venv
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check \
	  -c constraints.txt -e '.[cpu,distributed,export,weights,embedded,dev]'
	@touch $(READY)
