# Everything that a person or CI does with this repository. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SWIFT ?= swift
SCRATCH := .build
VENV := .venv
PYTEST := $(VENV)/bin/pytest
LOAD_GENERATOR := $(SCRATCH)/dssm-load
IMAGE_REPOSITORY ?= localhost
IMAGE_TAG ?= dev

# Options of single targets: make bench ROWS="get-p16 set-p16" QUICK=1, make fuzz SECONDS=60, make integration TESTS=...
ROWS ?=
QUICK ?=
SECONDS_TO_FUZZ := $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)
TESTS ?= tests/integration
ARGS ?=
IMAGE_ARGS ?=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install the system packages that building and testing need (apt; quick when they are there)
	@tools/setup

.PHONY: venv
venv: $(VENV)/.ready ## Make the tests' Python environment with pinned packages

$(VENV)/.ready: tests/requirements.txt | setup
	@tools/make-venv $(VENV) tests/requirements.txt

.PHONY: build
build: setup ## Build everything for debugging
	$(SWIFT) build --scratch-path $(SCRATCH)

.PHONY: release
release: setup ## Build the executables with optimisation, Swift's library inside
	$(SWIFT) build -c release --static-swift-stdlib --scratch-path $(SCRATCH)

.PHONY: test
test: setup check chart-check venv release unit test-browser integration ## All checks and tests: what CI runs

.PHONY: check
check: setup ## Format, layer and tool checks, without compiling
	@$(SWIFT) format lint --strict --parallel --recursive Package.swift services shared tests
	@python3 tools/check-layers.py
	@tools/values-reference --check
	@python3 -m unittest discover --quiet --start-directory tests/tools --pattern 'test_*.py'

.PHONY: format
format: setup ## Rewrite the Swift sources in the house format
	@$(SWIFT) format --in-place --parallel --recursive Package.swift services shared tests

.PHONY: unit
unit: setup ## Unit tests and simulations (FILTER=name for some)
	$(SWIFT) test --disable-xctest --scratch-path $(SCRATCH) $(if $(FILTER),--filter $(FILTER))

.PHONY: integration
integration: setup venv release ## Tests with real processes (TESTS=tests/integration/test_x.py, ARGS=-x)
	$(PYTEST) $(TESTS) $(ARGS)

.PHONY: test-browser
test-browser: venv ## Look at the restart coordinator's status page in a headless browser; screenshots in .build/screenshots
	@tools/setup browser
	$(SWIFT) build --scratch-path $(SCRATCH) --product StatusPageRenderer
	DSSM_BIN=$(SCRATCH)/debug $(PYTEST) tests/browser $(ARGS)

.PHONY: chart-check
chart-check: setup ## Lint, render and validate the chart with Helm 3 and 4; Dockerfiles and shell too (ARGS=-x)
	@tools/chart-check $(ARGS)

.PHONY: test-containers
test-containers: images venv ## Run the chart's pods in podman: start, failures, renewal, logs (root; ARGS="-x -s")
	@tools/chart-tools
	IMAGE_REPOSITORY=$(IMAGE_REPOSITORY) IMAGE_TAG=$(IMAGE_TAG) $(PYTEST) tests/containers $(ARGS)

.PHONY: test-kubernetes
test-kubernetes: images venv ## Install, upgrade, drain and coordinate on a real Kubernetes (root; TESTS=tests/kubernetes/test_x.py, ARGS=-x)
	@tools/chart-tools
	@tools/kubernetes build
	@HELM3=$(CURDIR)/.tools/helm3/helm HELM4=$(CURDIR)/.tools/helm4/helm DSSM_IMAGES=$(IMAGE_REPOSITORY):$(IMAGE_TAG) \
		tools/kubernetes run $(PYTEST) $(or $(filter-out tests/integration,$(TESTS)),tests/kubernetes) $(ARGS)

.PHONY: run
run: release ## Run three dbs and three sentinels under mTLS on this machine until Ctrl-C (ARGS=--help)
	@tools/local-cluster $(ARGS)

.PHONY: failover-demo
failover-demo: release venv ## Kill the primary under load and count what was lost (ARGS=--stock: the same on Redis)
	@$(VENV)/bin/python tests/e2e/failover_demo.py $(ARGS)

.PHONY: bench
bench: release $(LOAD_GENERATOR) ## Measure against redis-server (ROWS="get-p16 set-p16", QUICK=1)
	@python3 tests/benchmarks/bench.py $(if $(QUICK),--quick) $(ARGS) $(ROWS)

$(LOAD_GENERATOR): $(wildcard tests/benchmarks/load/*.[ch]) | setup
	@mkdir -p $(SCRATCH)
	$$(tools/find-clang) -O2 -Wall -Wextra -Werror -o $@ $(filter %.c,$^) -lssl -lcrypto

.PHONY: bench-forwarder
bench-forwarder: release venv ## Measure the log forwarder: records/s on one core, CPU, memory (ARGS=--runs 3)
	@$(VENV)/bin/python tests/benchmarks/forwarder_bench.py $(ARGS)

.PHONY: bench-containers
bench-containers: images venv ## Measure start time and idle memory of the chart's containers (ARGS="--runs 5")
	@tools/chart-tools
	@IMAGE_REPOSITORY=$(IMAGE_REPOSITORY) IMAGE_TAG=$(IMAGE_TAG) $(VENV)/bin/python tests/benchmarks/containers_bench.py $(ARGS)

.PHONY: fuzz
fuzz: setup ## Fuzz the RESP parsers (SECONDS=60 for each)
	@tests/fuzz/run $(SECONDS_TO_FUZZ)

.PHONY: images
images: release ## Build the container images with buildah (IMAGE_REPOSITORY, IMAGE_TAG; IMAGE_ARGS="--whole db": by its Dockerfile)
	@tools/setup images
	@tools/images --repository $(IMAGE_REPOSITORY) --tag $(IMAGE_TAG) $(IMAGE_ARGS)

.PHONY: clean
clean: ## Remove all that was built or written by runs
	rm -rf $(SCRATCH) $(VENV) run bench-results .pytest_cache
