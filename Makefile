# What a newcomer types. 'make help' lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Which engine 'make demo' serves: simulator, or vllm (on the CPU, with a tiny model).
ENGINE ?= simulator
# A file of variables that the demo's playbooks get besides, such as tests/rigs/vllm_cpu/public.yml.
VARS ?=
# Which parts 'make test' runs; all of them where it is empty.
PARTS ?=

.PHONY: help setup demo teardown test release bench clean

help: ## List these targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "make PART           Run one part of the checks: $(PART_NAMES)"

setup: ## Make the environment: .venv, and the collection's link
	@scripts/setup

demo: setup ## Deploy, redeploy, verify, benchmark and report on this machine (ENGINE=simulator or vllm)
	@scripts/demo $(ENGINE) $(VARS)

teardown: setup ## Undo the demo; results are kept
	@scripts/teardown

test: setup ## Run every check (PARTS="lint unit" for some)
	@scripts/test $(PARTS)

# The demo's own target is above.
PART_NAMES := $(filter-out demo,$(shell sed -nE '/^PARTS/,/^]/s/^    Job."([a-z]+)".*/\1/p' scripts/test))
.PHONY: $(PART_NAMES)
$(PART_NAMES): setup
	@scripts/test $@

release: setup ## Stamp, build and check a release (VERSION=1.2.3); nothing is committed or published
	@scripts/release $(VERSION)

bench: setup ## Print what modules and playbooks cost beside the alternatives, and benchmark clients side by side (an hour)
	@python tests/bench/engine.py
	@python tests/bench/benchmark.py
	@python tests/bench/regression.py
	@python tests/bench/fleet.py
	@python tests/bench/hosts.py
	@python tests/bench/group.py

clean: ## Remove what setup and the tests made
	-@tests/fleet/fleet image --remove
	rm -rf .venv .build .pytest_cache .ruff_cache .ansible
