# make demo, make test: the two commands of the README. Everything is installed into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-slow check format bench install clean

demo: install
	$(BIN)/r2rise explain examples/cartpole.npz --env CartPole-v1 --retrainings 384 --out out/demo

test: check
	$(BIN)/pytest -n 2

test-slow: install
	$(BIN)/pytest -m slow

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/performance_page.py
	$(BIN)/python benchmarks/statistics_check.py
	$(BIN)/python benchmarks/fidelity.py
	$(BIN)/python benchmarks/answers_check.py
	$(BIN)/python benchmarks/real_answers.py

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,dev]"
	touch $@

clean:
	rm -rf $(VENV) out
	find . -name "*.nbc" -delete -o -name "*.nbi" -delete
