# Everything a developer does, one word each. `make` alone lists the words.
#
# What the virtual environment holds is what requirements-dev.lock says, checked by hash; it is
# brought up to date when that file changes and left alone otherwise. The lock is whole, so nothing
# is resolved (--no-deps): an older pip looks for extras, finds a newer release and gives up.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
JUDGES := tests/judges
# Two processes: many tests wait for a clock or a server. More of them were not tried.
JOBS ?= 2
UV ?= $(shell command -v uv || echo $(BIN)/uv)
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: judges torture mails help setup demo run test test-fast check fmt golden-update lock wheel clean

help: ## list these words
	@while IFS= read -r line; do \
		case $$line in \
			[a-z]*": ## "* | [a-z]*": "*" ## "*) \
				printf '  %-14s %s\n' "$${line%%:*}" "$${line##*## }";; \
		esac; \
	done < $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/linked ## a virtual environment with everything in it
	@echo "Ready: $(BIN)/distributor"

$(VENV)/filled: requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

$(VENV)/linked: $(VENV)/filled pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## the whole job on this machine: a release, its journalists, an embargo, the log
	$(BIN)/distributor demo

run: setup ## send what is due, with ./config.toml
	$(BIN)/distributor run

# Those who look at our mails in the tests and were written by others. Without npm, or off the
# network, their tests are left out and say so; in CI that is a failure.
judges: $(JUDGES)/node_modules/installed

$(JUDGES)/node_modules/installed: $(JUDGES)/package-lock.json
	@if ! command -v npm >/dev/null; then echo "npm is missing: the judges of $(JUDGES) are left out"; \
	elif npm ci --prefix $(JUDGES) --ignore-scripts --no-audit --no-fund --silent; then touch $@; \
	else echo "npm could not install $(JUDGES): its judges are left out"; fi

test: setup judges ## every test, with coverage, and what was left out; JOBS=2 at a time
	$(PYTEST) -n $(JOBS) --dist worksteal --cov --cov-report=term:skip-covered

test-fast: setup judges ## the tests that need no server of their own; stops at the first failure
	$(PYTEST) -q -x -m "not postgresql and not slow"

torture: setup ## hours of trouble in half an hour; SEED=… or ORDEAL=… repeats one run of it
	$(BIN)/python -m tests.torture

bench: setup ## measure the speed, beside others'; ROWS="…" RUNS=5 MILLION_RUNS=5 MAILS=50000 QUICK=1
	$(BIN)/python -m benchmarks $(if $(ROWS),--rows "$(ROWS)") $(if $(RUNS),--runs $(RUNS)) \
		$(if $(MILLION_RUNS),--million-runs $(MILLION_RUNS)) $(if $(MAILS),--mails $(MAILS)) \
		$(if $(QUICK),--quick)

check: setup ## format, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

fmt: setup ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden-update: setup ## take today's mails as the golden ones; read the difference before you commit
	GOLDEN_UPDATE=1 $(PYTEST) -q tests/golden tests/mail/test_marking.py
	git --no-pager diff --stat -- tests/golden

mails: setup ## draw the golden mails into docs/mails, wide and narrow, light and dark (needs Chromium)
	$(BIN)/python -m tests.golden.pictures

lock: ## choose the newest versions that pyproject.toml allows (needs uv)
	$(COMPILE) --upgrade pyproject.toml --output-file requirements.lock
	$(COMPILE) --upgrade --constraint requirements.lock --group dev pyproject.toml \
		--output-file requirements-dev.lock

wheel: setup ## build dist/distributor-….whl
	$(BIN)/python -m hatchling build --target wheel

clean: ## remove what was built; the virtual environment and your data stay
	rm -rf $(JUDGES)/node_modules build dist .coverage .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find distributor tests alembic -name __pycache__ -type d -exec rm -rf {} +
