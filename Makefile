# Two commands: `make demo` and `make test`. Both do all their own set-up in .venv.
PYTHON := .venv/bin/python

.PHONY: demo test check format clean

demo: ## start everything on SQLite, send real traffic, leave the pages running
	@.ci/setup all
	@$(PYTHON) -m kibitz demo $(DEMO)

test: ## install what the tests need and run all of them
	@.ci/setup dev
	@.ci/services
	@$(PYTHON) -m pytest -n auto --dist worksteal $(TESTS)

check: ## what CI asks besides the tests
	@.ci/setup dev
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

format: ## put the code into its form
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

clean: ## forget the environment and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
