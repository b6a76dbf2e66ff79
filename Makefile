# `make demo` and `make test` work on a fresh machine: they make .venv with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# PyTorch first, alone and pinned, so that a local CPU build is taken where there is one.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow test-browser test-postgres test-dask mutants campaign pages lint clean

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(INSTALL) -e .
	touch $@

.venv/test: .venv/base
	$(INSTALL) -e '.[test]'
	touch $@

demo: .venv/base
	rm -rf demo
	$(BIN)/secure-gal demo --dir demo

# A file of tests stays in one process, where its tests share what was costly to make. One thread a process: several
# that wait for each other on too few cores took four times as long. Files come in the order of their folders, as whole
# studies are in the first ones: xdist's own order, by the number of tests, begins the longest files last.
#
# `make test COVERAGE=1`, as .ci/run asks for it, says besides which lines and branches that one run has reached, in the
# processes of parties too; what a test kills with SIGKILL is not counted. Not by default: it takes 1.4 times the CPU, as
# the tracer that costs next to nothing (`sys.monitoring`) needs Python 3.14 for branches, and ours is 3.11.
#
# Byte code is kept even where the environment says otherwise: tests start a hundred processes, each of which would compile
# all that it imports, a sixth of the CPU.
PYTEST := -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
SUITE := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1
test: .venv/test
ifdef COVERAGE
	$(BIN)/coverage erase
	$(SUITE) $(BIN)/coverage run $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=cover
else
	$(SUITE) $(BIN)/python $(PYTEST)
endif

test-slow: .venv/test
	$(BIN)/python -m pytest -m slow

test-browser: .venv/test
	$(BIN)/python -m pytest -m browser

test-postgres: .venv/test
	$(BIN)/python -m pytest -m postgres

test-dask: .venv/test
	$(SUITE) $(BIN)/python -m pytest -m dask

# Hours: is every protection held by a test? It goes on where it was stopped.
mutants: .venv/test
	$(BIN)/python -m benchmarks.mutants removed
	$(BIN)/python -m benchmarks.mutants random --count 300

# Minutes: processes killed at random moments, in every mode.
campaign: .venv/test
	$(BIN)/python -m benchmarks.campaign

# The pages in site/, without a network; fails on a link or an anchor that leads nowhere.
pages: .venv/test
	$(INSTALL) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m docs.tables --check
	$(BIN)/python -m docs.draw_phases --check
	$(BIN)/python -m docs.draw_house --check
	$(BIN)/python -m docs.draw_choice --check

clean:
	rm -rf .venv site build *.egg-info .mypy_cache .pytest_cache .ruff_cache .coverage*
