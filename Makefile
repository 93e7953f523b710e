# Everything sets itself up from Python 3.11 or newer and make: `make audit TARGET=path/to/model`.
# All paths are relative, so that a checkout may lie under a path with spaces.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help audit demo test lint pytest bench lock clean

# Which Python to build the environment with; without it, the first suitable one is taken.
PYTHON ?=
export PYTHON TARGET
unexport PYTHONPATH PYTHONHOME

RUN := .venv/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --quiet install
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
LOCK = uv pip compile $(UPGRADE) --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

help:
	@echo 'make audit TARGET=path   audit a model folder or file; report in weighbridge-report/;'
	@echo '                         fails unless the verdict is pass or review'
	@echo 'make audit, make demo    build a clean and a hostile model, audit both'
	@echo 'make test                ruff, mypy, import-linter, pytest'
	@echo 'make lint, make pytest   the one or the other half of it'
	@echo 'make bench               compare with other tools, each in an environment of its own'
	@echo 'make lock                compile requirements/*.txt anew (needs uv; UPGRADE=--upgrade)'
	@echo 'make clean               remove what make has made'

# The status of make is 2 whenever a recipe fails, so the recipe says what the audit's own is:
# 0 pass or review, 1 block, 2 usage or infrastructure, 3 incomplete.
ifeq ($(strip $(TARGET)),)
audit: demo
else
audit: .venv/runtime.stamp
	@name=$$(basename -- "$$(cd -- "$$TARGET" 2>/dev/null && pwd -P || echo "$$TARGET")"); \
	report="weighbridge-report/$$name.html"; \
	$(RUN) -m weighbridge.apps.cli.main audit \
		--format terminal --format "html=$$report" -- "$$TARGET"; \
	status=$$?; \
	case $$status in 0|1|3) echo "The whole report: $$report" >&2 ;; esac; \
	echo "The audit's exit code: $$status" >&2; \
	exit $$status
endif

demo: .venv/runtime.stamp
	@$(RUN) scripts/demo.py weighbridge-report

test: lint pytest

lint: .venv/dev.stamp
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports

pytest: .venv/dev.stamp
	$(RUN) -m pytest -n auto

bench: .venv/runtime.stamp
	$(RUN) bench/run.py

lock:
	$(LOCK) --all-extras pyproject.toml requirements/build.in -o requirements/runtime.txt
	$(LOCK) --all-extras pyproject.toml requirements/build.in --group test -c requirements/runtime.txt \
		-o requirements/test.txt
	$(LOCK) --all-extras pyproject.toml requirements/build.in --group dev -c requirements/test.txt \
		-o requirements/dev.txt
	for peer in picklescan modelscan modelaudit pip-audit; do \
		$(LOCK) bench/peers/$$peer.in -o bench/peers/$$peer.txt; \
	done

clean:
	rm -rf .venv .bench weighbridge-report dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/bin/python:
	@if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; \
	else set -- python3.13 python3.12 python3.11 python3.14 python3 python; fi; \
	for python; do \
		if "$$python" -c '$(SUITABLE)' >/dev/null 2>&1; then \
			echo "Setting up .venv with $$("$$python" --version)" >&2; \
			"$$python" -m venv .venv && exit; \
			rm -rf .venv; exit 1; \
		fi; \
	done; \
	echo 'Weighbridge needs Python 3.11 or newer with its venv module' \
		'(on Debian: python3-venv); PYTHON=... names one.' >&2; \
	exit 1

# The package itself is built by hatchling, which the same hashed file has installed.
.venv/runtime.stamp: requirements/runtime.txt pyproject.toml | .venv/bin/python
	@$(PIP) --require-hashes -r $<
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(RUN) -m compileall -q src
	@touch $@

.venv/dev.stamp: requirements/dev.txt pyproject.toml | .venv/bin/python
	@$(PIP) --require-hashes -r $<
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(RUN) -m compileall -q src
	@touch $@ .venv/runtime.stamp
