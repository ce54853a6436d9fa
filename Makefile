# One command per wish; `make` alone lists them. Needs make and Python 3.11 or newer; all else is
# installed here: Debian packages with apt where it may, Python packages into .venv, pjproject and
# the native media plane by compiling them.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
PYTHON ?= python3
ARGS ?=
BENCH ?= calls
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.setup

# What the gateway runs with: the libraries of pjgw, and the voice of prompts.
RUN_PACKAGES := ca-certificates espeak-ng libgsm1 libopus0 libspeexdsp1 libssl3 libuuid1
# What pjproject and the native media plane are compiled with.
BUILD_PACKAGES := binutils debian-archive-keyring gcc g++ libc6-dev libgsm1-dev libopus-dev \
	libspeex-dev libspeexdsp-dev libssl-dev make pkg-config python3-dev python3-venv swig uuid-dev
# Browsers, SIP peers, TURN, database and metrics servers, captures, network namespaces, audio, style tools.
TEST_PACKAGES := baresip-core chromium clang-format coturn curl firefox-esr iproute2 postgresql \
	prometheus sip-tester sox systemd tshark

# A newer one of these has the media plane compiled again.
NATIVE_SOURCES := $(wildcard gateway/media/native/*.[ch] gateway/media/native/*.py)
C_SOURCES := $(wildcard gateway/media/native/*.[ch] tests/native/*.[ch])

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.PHONY: run
run: setup ## set everything up, then run the demo on http://localhost:8080
	@echo
	@echo "The gateway starts with config/demo.yaml. Next:"
	@echo "  1. open http://localhost:8080 in a browser on this machine and allow the microphone;"
	@echo "  2. dial what the page suggests; press Ctrl-C here to stop."
	@echo "Your own configuration: $(BIN)/gateway run FILE; all commands: $(BIN)/gateway --help"
	@echo
	@$(BIN)/gateway run config/demo.yaml $(ARGS)

.PHONY: test
test: setup-dev ## run the whole test suite; ARGS="-k dtmf" picks tests
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: check
check: setup-dev ## style, types, layering
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy gateway bench examples tests tools/setup
	@$(BIN)/lint-imports --no-logo
	@$(if $(C_SOURCES),clang-format --dry-run -Werror $(C_SOURCES))

.PHONY: format
format: setup-dev ## rewrite the sources in the house style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(if $(C_SOURCES),clang-format -i $(C_SOURCES))

.PHONY: bench
bench: setup-dev ## measure calls per core; BENCH=api or dialplan measures those; ARGS goes to it
	@$(BIN)/python -m bench.$(BENCH) $(ARGS)

.PHONY: setup
setup: packages ## all that running needs
	@$(PYTHON) -m tools.setup.environment requirements.lock
	@$(BIN)/python -m tools.setup.pjgw
	@$(MAKE) --no-print-directory --silent $(DONE)/native

.PHONY: setup-dev
setup-dev: packages-dev ## all that tests, checks and benchmarks need
	@$(PYTHON) -m tools.setup.environment requirements-dev.lock
	@$(BIN)/python -m tools.setup.pjgw
	@$(MAKE) --no-print-directory --silent $(DONE)/native

.PHONY: packages packages-dev
packages: python
	@$(PYTHON) -m tools.setup.packages $(RUN_PACKAGES) $(BUILD_PACKAGES)
packages-dev: python
	@$(PYTHON) -m tools.setup.packages $(RUN_PACKAGES) $(BUILD_PACKAGES) $(TEST_PACKAGES)

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "set-up failed: Python 3.11 or newer is not there as $(PYTHON)"; \
		echo "what to do:    apt-get install python3 on Debian 12, or make PYTHON=/path/to/python3"; \
		exit 1; }

# A module that was deleted by hand, or a new pjgw, counts as out of date too.
$(DONE)/native: $(NATIVE_SOURCES) $(DONE)/pjgw \
		$(if $(wildcard gateway/media/_native*.so),,compile-always)
	@echo "compiling the native media plane"
	@$(BIN)/python gateway/media/native/build.py
	@touch $@

.PHONY: compile-always
compile-always:

.PHONY: lock
lock: setup-dev ## update the lock files to the newest versions that requirements*.in allow
	@$(call compile,requirements.lock,requirements.in)
	@$(call compile,requirements-dev.lock,requirements-dev.in)

compile = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --allow-unsafe \
	--generate-hashes --strip-extras --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links --output-file=$(1) $(2)

.PHONY: clean
clean: ## remove what was built here; the cached pjgw stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache gateway/media/_native*.so gateway/media/_native*.o \
		gateway/media/_native*.c gateway/media/native/*.o
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-cache
clean-cache: ## remove the cached pjgw and its downloads, for a build from scratch
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/gateway"
