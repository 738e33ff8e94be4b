.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
export PYTHONPATH := $(CURDIR)
CHECKED := canary runtime webhook analyzer certs loadtester kubectl_headgate sandbox tests

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements-dev.lock
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q --require-hashes -r requirements-dev.lock
	touch $@

venv: $(VENV)/.ready ## Make the virtual environment with every pinned dependency

lock: $(VENV)/.ready ## Write the lock files anew from pyproject.toml (needs uv in the venv)
	$(VENV)/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.lock
	$(VENV)/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra cloudwatch pyproject.toml -o requirements-cloudwatch.lock
	$(VENV)/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra dev --extra cli pyproject.toml -o requirements-dev.lock

sbom: $(VENV)/.ready ## List what the image holds of others, with hashes, as CycloneDX: build/sbom.json
	mkdir -p build
	$(VENV)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json

lint: $(VENV)/.ready ## Style, import contracts
	$(VENV)/bin/ruff check $(CHECKED)
	$(VENV)/bin/ruff format --check $(CHECKED)
	$(VENV)/bin/lint-imports --no-cache

typecheck: $(VENV)/.ready ## mypy --strict on the product, the sandbox and the tests
	$(VENV)/bin/mypy

unit: $(VENV)/.ready ## Tests that need nothing but this checkout
	$(PYTHON) -m pytest -m "not cluster and not slow and not peer and not soak" -n 2

sandbox-up: $(VENV)/.ready ## Start a real single-node Kubernetes on this machine (root; builds once)
	$(PYTHON) -m sandbox up

sandbox-down: $(VENV)/.ready ## Stop it and leave nothing behind
	$(PYTHON) -m sandbox down

integration: $(VENV)/.ready ## Tests on a real cluster: KUBECONFIG, else the sandbox
	$(PYTHON) -m pytest -m "cluster and not soak" -n 4 --dist load --maxschedchunk 1

integration-fast: $(VENV)/.ready ## The same without those that take minutes
	$(PYTHON) -m pytest -m "cluster and not slow and not soak" -n 4 --dist load --maxschedchunk 1

soak: $(VENV)/.ready ## What takes long or disturbs everybody, on the sandbox; its variables are in CONTRIBUTING.md
	SCALING_CYCLES=$(or $(SCALING_CYCLES),50) $(PYTHON) -m pytest -m soak -s -v

peers: $(VENV)/.ready ## Real programs of others beside ours: k6 and ghz in the load tester, what Istio admits, Traefik, Istio and Envoy Gateway with traffic, what Knative makes; built once with Go
	$(PYTHON) -m pytest -m "peer and not soak" -v

mutate: $(VENV)/.ready ## Change what decides and see whether a unit test fails; SAMPLE, SEED, ONLY, FOLDER; all takes hours
	$(PYTHON) -m tests.mutation --seed $(or $(SEED),1) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(ONLY),--only $(ONLY)) $(if $(FOLDER),--folder $(FOLDER))

test: lint typecheck unit integration ## Everything: style, types, unit tests, the real cluster

bench: $(VENV)/.ready ## Measure speed, and print it with version and machine; LONG=1: the judge at length, ONLY="requests/s": some sections
	$(PYTHON) -m tests.bench $(if $(LONG),--long) $(if $(ONLY),--only "$(ONLY)")

simulation: $(VENV)/.ready ## The judge on simulated traffic, every row at length; goes on where it was: KEEP=build/simulation, ONLY, RUNS
	$(PYTHON) -m tests.simulation --keep $(or $(KEEP),build/simulation) $(if $(ONLY),--only "$(ONLY)") $(if $(RUNS),--runs $(RUNS))

bench-scale: $(VENV)/.ready ## Measure many releases at once and many targets; PARTS, RUNS, IDLE, STEADY, RATE, SECONDS
	$(PYTHON) -m tests.bench.scale $(if $(PARTS),--parts $(PARTS)) $(if $(RUNS),--runs $(RUNS)) $(if $(IDLE),--idle $(IDLE)) \
	  $(if $(STEADY),--steady $(STEADY)) $(if $(RATE),--rate $(RATE)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(PROFILE),--profile $(PROFILE))

demo: $(VENV)/.ready ## From nothing to a good and a bad release, shown as they happen
	$(PYTHON) -m sandbox demo

install: $(VENV)/.ready ## Install Headgate into the cluster of KUBECONFIG
	kubectl apply --server-side -k manifests

uninstall: $(VENV)/.ready ## End every run and remove Headgate; MODE=stable (default) or release
	$(PYTHON) -m analyzer.uninstall --candidates $(or $(MODE),stable)

.PHONY: help venv lock sbom lint typecheck unit sandbox-up sandbox-down integration integration-fast soak peers mutate test bench simulation bench-scale demo install uninstall
