# The one front door. `make` lists the targets.

READY := .venv/ready
LIBVIRT := .venv/libvirt
WEB := src/barostat/web/vendor/LICENSES.txt
BIN := .venv/bin
PYTEST := $(BIN)/pytest
SCENARIO := examples/three-guests.toml
HYPERVISOR := qmp
SOAK := 10m
SOAK_RUNS := 2000

.DEFAULT_GOAL := help
.PHONY: help demo test check lint lab bench trust soak docs web format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml uv.lock tools/bootstrap
	@tools/bootstrap

$(LIBVIRT): $(READY)
	@tools/bootstrap libvirt

$(WEB): package-lock.json tools/web.py
	@python3 tools/web.py
	@touch $@

demo: $(if $(filter libvirt,$(HYPERVISOR)),$(LIBVIRT),$(READY)) ## move memory between three real guests (HYPERVISOR=libvirt; ARGS=--simulated without QEMU)
	@[ -e $(WEB) ] || python3 tools/web.py || echo "web: the demonstration goes on without its page"
	@$(BIN)/barostat demo --hypervisor $(HYPERVISOR) $(ARGS)

test: lint $(WEB) ## everything: check, and contract, engine, CLI, docs and real-guest tests, with bars
	@$(BIN)/coverage erase
	@# Real guests are timed and the machine may be small: their tests run alone, one by one.
	$(PYTEST) -n 2 -m "not lab" --cov --cov-report=
	$(BIN)/coverage report --include='src/barostat/core/*' --fail-under=100
	$(PYTEST) -m lab --cov --cov-append --cov-report=term --cov-fail-under=90

check: lint ## what every change must pass: linters, types, layers, unit and property tests
	$(PYTEST) -n 2 tests/unit tests/property

lint: $(LIBVIRT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/codespell

lab: $(READY) ## boot a lab and leave it running, for playing (SCENARIO=file.toml)
	@$(BIN)/barostat lab up $(SCENARIO)

bench: $(READY) ## measure and print; one of them with BENCH=name
	@$(BIN)/python -m benchmarks $(BENCH)

trust: $(LIBVIRT) ## run what shows that it can be trusted, and write docs/explanation/trust.md
	@$(BIN)/python -m tools.trust $(ARGS)

soak: $(READY) ## 8 real guests at work, and whatever may befall them, for SOAK=10m (ARGS=--seed N)
	@# First the state machine: SOAK_RUNS runs of each of its tests.
	BAROSTAT_SOAK_RUNS=$(SOAK_RUNS) $(PYTEST) -q -n 2 tests/property/machine --hypothesis-profile=soak --timeout=0
	@$(BIN)/python -m tests.soak --for $(SOAK) $(ARGS)

docs: $(READY) ## write the references in docs/ from the program, and check all pages
	$(BIN)/python tools/reference.py
	$(BIN)/python tools/words.py
	$(BIN)/python tools/manpages.py
	$(BIN)/python tools/schemas.py
	$(BIN)/python -m tools.dashboards
	$(PYTEST) tests/docs

web: $(WEB) ## fetch the modules of the web page (needs npm)

format: $(READY) ## format the code and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean: ## remove caches, coverage data and results, but not .venv
	rm -rf build dist .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache benchmarks/results
	find src tests benchmarks -name __pycache__ -type d -exec rm -rf {} +
