# `make run` and `make test` are all the set-up there is. Another interpreter: make PYTHON=python3.12 run
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
STAMP := .venv/.ready

.PHONY: setup run test check clean
.DEFAULT_GOAL := run

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@found=""; \
	for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			found=$$python; break; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "tuningfork needs Python 3.11 or newer, found $$(python3 --version 2>&1 || echo none);" \
			"name one with: make PYTHON=/path/to/python3.12 run" >&2; \
		exit 1; \
	fi; \
	test -x $(BIN)/python || $$found -m venv .venv
	$(PIP) numba scipy
	@# Kernels compile while all else is fetched: either takes minutes, and one core
	$(BIN)/python -m pipeline.compilation & compiler=$$!; $(PIP) -e '.[dev]' && wait $$compiler
	@touch $(STAMP)

run: setup
	$(BIN)/tuningfork run configs/demo.yaml

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest

clean:
	rm -rf runs mlruns mlflow.db .pytest_cache .ruff_cache .mypy_cache build *.egg-info
