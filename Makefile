# The two commands of the README. Each makes .venv when it is missing, installs what it needs into it
# (again only when pyproject.toml or constraints.txt has changed) and does its job.
# Compiling all of what is installed (--no-compile) took as long as installing it; what is imported is compiled then.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
# Each quickstart gets a folder of its own, so that none overwrites another.
OUT ?= quickstart/$(shell date +%Y-%m-%d_%H-%M-%S)
BIN := $(VENV)/bin

.PHONY: quickstart test test-all docs release-check help-texts
.DELETE_ON_ERROR:

quickstart: $(VENV)/.installed-embedded
	$(BIN)/kinelex quickstart --out $(OUT)

# One thread per process: tests run in $(WORKERS) processes, and threads that wait for each other are slow.
# `make test` leaves out what tests/slow.txt names, `make test-all` runs everything. Types and imports are
# checked while the tests run, so that no core waits for them.
test: SELECTED := -m "not slow"
test test-all: export OMP_NUM_THREADS := 1
test test-all: export OMP_WAIT_POLICY := passive
test test-all: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	{ $(BIN)/lint-imports --no-cache && $(BIN)/deptry src && $(BIN)/mypy; } & checks=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(SELECTED) --doctest-modules src tests; tests=$$?; \
	wait $$checks || { echo "types or imports failed, see above"; exit 1; }; exit $$tests

# The site, with its notebooks run: docs/_build/html/index.html. What is missing or linked wrongly is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W -n --keep-going -q -d docs/_build/doctrees -b html docs docs/_build/html

# Wheel and sdist, the wheel in a fresh environment outside the checkout, and the first commands of every page.
release-check: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/release_check.py --out $$(mktemp -d)/release

# The lists of tasks, engines, studies and data sets that end the help of verbs.
help-texts: $(VENV)/.installed-dev
	$(BIN)/python -c "from kinelex.cli.help_texts import write_lists; write_lists()"

$(VENV)/.installed-embedded: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[embedded]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[embedded,models,openai,ray,umap,formats,pose,live,export,trackers,comet,search,docs,dev]'
	touch $@ $(VENV)/.installed-embedded
