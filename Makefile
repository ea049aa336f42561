# Everything runs in a private virtual environment; the default model goes into the user's cache folder, once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Two processes, each with one thread: two threads of torch on two busy cores wait for each other longer than they compute.
WORKERS ?= 2
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile

.PHONY: demo test test-slow test-fast test-faults lint format check model setup setup-dev clean

demo: setup model ## the bot in a local Discord in your browser
	$(BIN)/forwardpass demo $(DEMO_FLAGS)

test: setup-dev model ## everything but what takes minutes by itself
	$(PARALLEL) -m "not slow and not faults" $(PYTEST_FLAGS)

test-slow: setup-dev model ## fifty answers against an untouched model, ten thousand hostile questions
	$(BIN)/pytest -m slow $(PYTEST_FLAGS)

test-faults: setup-dev ## the bot killed, cut off, and asked by a thousand people at once
	$(MAKE) --no-print-directory -j2 --output-sync=target faults-deeds faults-loud

# They wait more than they compute, so they go side by side; only deaths within a second need a machine that starts in less.
FAULTS := OMP_NUM_THREADS=1 $(BIN)/pytest -p no:cacheprovider -m faults -s
.PHONY: faults-deeds faults-loud faults-stops faults-crowds faults-deaths
faults-loud:
	$(MAKE) --no-print-directory faults-deaths
	$(MAKE) --no-print-directory -j2 --output-sync=target faults-stops faults-crowds
faults-deeds:
	$(FAULTS) tests/loopback/test_deeds.py tests/loopback/test_doubt.py $(PYTEST_FLAGS)
faults-stops:
	$(FAULTS) tests/loopback/test_outbox.py $(PYTEST_FLAGS)
faults-crowds:
	$(FAULTS) tests/loopback --ignore=tests/loopback/test_deeds.py --ignore=tests/loopback/test_doubt.py --ignore=tests/loopback/test_outbox.py $(PYTEST_FLAGS)
faults-deaths:
	$(FAULTS) tests/faults $(PYTEST_FLAGS)

test-fast: setup-dev ## without the real model and the browser
	$(PARALLEL) -m "not real_model and not browser and not slow and not faults" $(PYTEST_FLAGS)

lint: setup-dev ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test

model: setup
	$(BIN)/forwardpass model pull

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The lock first: each file of it is held against its sum. Then torch by its exact version, as each registry has
# builds of its own, and a range would fetch the newest with its CUDA packages. What is left are links to this folder.
LOCKED := $(PIP) install -q --no-deps --require-hashes -r
$(VENV)/.installed: pyproject.toml constraints.txt requirements.lock | $(VENV)/bin/python
	$(LOCKED) requirements.lock
	$(PIP) install -q -c constraints.txt torch==2.13.0
	$(PIP) install -q -c constraints.txt --no-build-isolation -e ".[demo]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(LOCKED) requirements-dev.lock
	$(PIP) install -q -c constraints.txt --no-build-isolation -e ".[demo,dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
