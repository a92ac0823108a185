# Every target sets up what it needs: all it takes is Python >= 3.11 with pip, and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin

# The interpreter to build environments with: PYTHON=..., or the first of these that is new enough.
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
# Where `make test-newest` looks for the newest: by name, and in the folders of pyenv and uv.
NEWER := $(or $(PYTHON),$(addprefix python3.,12 13 14 15 16 17) \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/python3 \
	"$$($(BIN)/uv python dir)"/*/bin/python3)

STAMP := $(VENV)/.installed
MANIFESTS := pyproject.toml $(wildcard integrations/*/pyproject.toml examples/*/pyproject.toml)
PROJECTS := $(patsubst %/,%,$(dir $(filter-out pyproject.toml,$(MANIFESTS))))
EXTRAS := $(addprefix --extra ,cli code math otel prices schema units langchain agents)
EDITABLES := --editable '.[cli,code,math,otel,prices,schema,units]' \
	$(foreach p,$(PROJECTS),--editable '$(p)$(if $(findstring langchain,$(p)),[agents])')
# Processes for the tests: a second one pays its start-up and imports again, and disturbs what tests
# time. A file stays in one process, since the fences of a page share names.
JOBS ?= 0
PYTEST = python -m pytest -c pyproject.toml -n $(JOBS) --dist loadfile $(ARGS)

# pyright comes whole from its wheels; uv takes interpreters that are here and downloads none.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export UV_PYTHON_DOWNLOADS := never
# Without the bytecode that Python writes at the first run, every run pays seconds for its imports.
unexport PYTHONDONTWRITEBYTECODE

# $(call find-python,CANDIDATES): print the first that runs and is new enough, or nothing.
find-python = for p in $(1); do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; \
	done; true
# The same for the newest final CPython after 3.11.
find-newer = for p in $(1); do "$$p" -c 'import sys; v = sys.version_info; \
	v[:2] > (3, 11) and v[3] == "final" and sys.implementation.name == "cpython" and \
	print("%d.%d.%d" % v[:3], sys.executable)' 2>/dev/null; done | sort -V | tail -n 1 | cut -d" " -f2-
# $(call make-venv,FOLDER,PYTHON): a new virtual environment with the pinned uv in it.
make-venv = rm -rf $(1) && "$(2)" -m venv --without-pip $(1) && \
	"$(2)" -m pip --python $(1)/bin/python install --quiet --disable-pip-version-check \
	--constraint constraints.txt uv
# $(call uv-install,FOLDER,CONSTRAINTS,GROUP): all distributions of the repository and what they need.
uv-install = $(BIN)/uv pip install --quiet --python $(1)/bin/python --constraint $(2) \
	--group $(3) $(EDITABLES)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-zA-Z_%-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: install
install: $(STAMP) ## make .venv, with the pinned versions of everything

$(STAMP): $(MANIFESTS) constraints.txt Makefile
	@python=$$($(call find-python,$(CANDIDATES))); \
	test -n "$$python" || { echo "Python >= 3.11 not found: make PYTHON=/path/to/python"; exit 1; }; \
	echo "installing into $(VENV) with $$("$$python" --version)"; \
	if ! test -x $(BIN)/uv; then $(call make-venv,$(VENV),$$python); fi && \
	$(call uv-install,$(VENV),constraints.txt,dev)
	@touch $@

# Its tests skip, and say so, where it cannot be installed. APT has a time limit: a machine without
# a mirror must not wait for one.
APT := timeout 120 apt-get -qq -y
# $(call apt-install,PROGRAM,PACKAGE): unless the program is here, or this is no place for it.
apt-install = command -v $(1) >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || \
	{ $(APT) install $(2) || { $(APT) update && $(APT) install $(2); }; } \
	>/dev/null 2>&1 || echo "$(2) is not here: its tests are skipped"
.PHONY: bubblewrap
bubblewrap: ## install the sandbox, where this is root on a system with apt-get
	@$(call apt-install,bwrap,bubblewrap)

.PHONY: chromium
chromium: ## install the browser that looks at pages in tests, likewise
	@$(call apt-install,chromium,chromium)

.PHONY: demo
demo: $(STAMP) ## run examples/quickstart.py
	@$(BIN)/python examples/quickstart.py

.PHONY: demo-rag
demo-rag: $(STAMP) ## compare the ways of answering from price lists: examples/llama_index/rag.py
	@$(BIN)/python examples/llama_index/rag.py $(ARGS)

.PHONY: format
format: $(STAMP) ## format the sources and repair what ruff can
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

.PHONY: check
check: $(STAMP) ## style, types and architecture
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-cache --no-logo

.PHONY: unit
unit: $(STAMP) ## the tests alone: make unit ARGS="-k vote"
	@$(BIN)/$(PYTEST)

.PHONY: test
test: check unit ## check, then all tests and all fences of the documentation

.PHONY: coverage
coverage: $(STAMP) ## tests with branch coverage
	@$(BIN)/coverage run -m pytest -c pyproject.toml $(ARGS)
	@$(BIN)/coverage report

# The lowest versions of what users install; the test tools are as new as these allow. Later parts of
# LangGraph do not go with the lowest langchain, later clients of LlamaIndex not with its lowest core,
# and they do not say so.
OLD := 'langgraph-checkpoint<4' 'langgraph-prebuilt<1.0.9' 'llama-index-llms-openai<0.6'
.PHONY: test-lowest
test-lowest: $(STAMP) ## tests with the lowest versions that the manifests allow
	@echo "installing into $(VENV)-lowest"
	@rm -rf $(VENV)-lowest && $(BIN)/uv venv --quiet --python $(BIN)/python $(VENV)-lowest
	@printf '%s\n' $(OLD) >$(VENV)-lowest/old.txt
	@$(BIN)/uv pip compile --quiet --python $(BIN)/python --resolution lowest-direct \
		--no-header --no-annotate --no-emit-index-url \
		--no-emit-package thinktwice $(MANIFESTS) \
		--constraint $(VENV)-lowest/old.txt \
		$(EXTRAS) --output-file $(VENV)-lowest/lowest.txt
	@cat $(VENV)-lowest/old.txt >>$(VENV)-lowest/lowest.txt
	@$(call uv-install,$(VENV)-lowest,$(VENV)-lowest/lowest.txt,test)
	@$(VENV)-lowest/bin/$(PYTEST)

# Downloads no interpreter: it takes the newest that is here, or says that there is none.
.PHONY: test-newest
test-newest: $(STAMP) ## tests on the newest CPython at hand
	@python=$$($(call find-newer,$(NEWER))); \
	test -n "$$python" || { echo "test-newest: skipped, no CPython newer than 3.11 here"; exit 0; }; \
	echo "test-newest: $$("$$python" --version), $$python" && \
	rm -rf $(VENV)-newest && $(BIN)/uv venv --quiet --python "$$python" $(VENV)-newest && \
	$(call uv-install,$(VENV)-newest,constraints.txt,test --group modern) && \
	$(VENV)-newest/bin/$(PYTEST)

.PHONY: bench
bench: $(patsubst tests/bench/%.py,bench-%,$(wildcard tests/bench/*.py)) bench-peers ## all benches; one alone: make bench-NAME

bench-%: tests/bench/%.py $(STAMP)
	@$(BIN)/python $< $(ARGS)

# Its file is not called langchain.py: that would stand before the package, for all benches.
.PHONY: bench-langchain
bench-langchain: bench-langchain_adapter ## what the LangChain adapter costs in time

.PHONY: bench-llama_index
bench-llama_index: bench-llama_index_adapter ## what the LlamaIndex adapter costs in time

# Each peer has an environment of its own; the bench says which could not be made. optillm comes
# without its dependencies (torch, transformers and more): these are what its sources import.
PEERS := its-hub dspy optillm adaptive-consistency
PEER_its-hub := 'its-hub[lm]==1.2.0'
PEER_dspy := dspy==3.4.1
ALONE_optillm := optillm==0.4.0
PEER_optillm := aiohttp cerebras-cloud-sdk flask math-verify networkx numpy openai PyYAML \
	requests sympy 'z3-solver<=4.15.4.0'
PEER_adaptive-consistency := AdaptiveConsistency==1.0.0 numpy openai scipy
# $(call peer-install,FOLDER): the start of a command that installs into it.
peer-install = $(BIN)/uv pip install --quiet --python $(1)/bin/python

.PHONY: bench-peers
bench-peers: $(PEERS:%=$(VENV)-peer-%/.made) ## the same recorded questions to thinktwice and its peers
	@$(BIN)/python tests/bench/peers $(ARGS)

$(VENV)-peer-%/.made: Makefile | $(STAMP)
	@echo "installing into $(@D)"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@{ $(if $(ALONE_$*),$(call peer-install,$(@D)) --no-deps $(ALONE_$*) &&) \
		$(call peer-install,$(@D)) $(PEER_$*); } 2>$(@D)/.log && touch $@ || true

# Each backend of telemetry has an environment of its own; tests of one that could not be made are
# skipped, and say so.
BACKEND_phoenix := arize-phoenix==20.26.1
BACKEND_mlflow := mlflow==3.17.2
.PHONY: test-backends
test-backends: $(VENV)-backend-phoenix/.made $(VENV)-backend-mlflow/.made ## tests against Phoenix and MLflow: minutes, and a gigabyte at the first time
	@$(BIN)/python -m pytest -c pyproject.toml $(ARGS) tests/backends

$(VENV)-backend-%/.made: Makefile | $(STAMP)
	@echo "installing into $(@D)"
	@test -x $(@D)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(@D)
	@$(call peer-install,$(@D)) $(BACKEND_$*) 2>$(@D)/.log && touch $@ || \
		echo "$* could not be installed, see $(@D)/.log: its tests are skipped"

# Each SDK of a vendor has an environment of its own, with all of this repository in it; tests of one
# that could not be made are skipped, and say so. Langfuse is in the environment for development.
VENDOR_braintrust := braintrust==0.47.0
VENDOR_ddtrace := ddtrace==4.16.0
VENDOR_logfire := logfire==5.2.0
VENDOR_openlit := openlit==1.45.0
VENDOR_prometheus := opentelemetry-exporter-prometheus==0.66b2
VENDOR_traceloop := traceloop-sdk==0.62.4
VENDORS := braintrust ddtrace logfire openlit prometheus traceloop
.PHONY: test-vendors
test-vendors: $(VENDORS:%=$(VENV)-vendor-%/.made) ## tests against the SDKs of observability vendors
	@$(BIN)/python -m pytest -c pyproject.toml $(ARGS) tests/vendors

$(VENV)-vendor-%/.made: Makefile | $(STAMP)
	@echo "installing into $(@D)"
	@test -x $(@D)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(@D)
	@$(call peer-install,$(@D)) $(VENDOR_$*) --editable '.[otel,prices]' \
		--editable integrations/langchain \
		--editable examples/arithmetic_lm langchain langchain-openai 2>$(@D)/.log && touch $@ || true

.PHONY: docs
docs: $(STAMP) ## build the documentation into site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.PHONY: docs-serve
docs-serve: $(STAMP) ## serve the documentation while it is written
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

.PHONY: constraints
constraints: $(STAMP) ## resolve constraints.txt anew
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --no-emit-package thinktwice \
		--group dev $(EXTRAS) \
		$(MANIFESTS) --output-file constraints.txt

.PHONY: clean
clean: ## remove environments, caches and build output
	@rm -rf $(VENV) $(VENV)-* dist site .coverage* .hypothesis \
		.pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
