# make demo, make test, make serve: the commands of the README. Everything is installed into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NEWEST := .venv-newest
PYTHONS ?= 3.12 3.13
PYTHON_3.12 ?= python3.12
PYTHON_3.13 ?= python3.13

.PHONY: demo serve test test-newest test-pythons test-wheel test-slow check format docs \
	docs-regenerate bench notebook wheel secrets install clean
.DELETE_ON_ERROR:

demo: install
	$(BIN)/r2rise explain examples/cartpole.npz --env CartPole-v1 --retrainings 384 --out out/demo

serve: install
	$(BIN)/r2rise serve --data r2rise-data --workers 2

test: check
	$(BIN)/pytest -n 2

# The newest gymnasium, without the libraries that hold it back: what depends on gymnasium; first
# what is left out for the lack of these libraries.
GYMNASIUM_TESTS := tests/envs tests/library/test_environments.py \
	$(addprefix tests/library/,algorithms ask evaluation run study)

test-newest: $(NEWEST)/.installed
	$(NEWEST)/bin/pytest -m imitation --collect-only -q
	$(NEWEST)/bin/pytest -n 2 -m "not imitation and not slow" $(GYMNASIUM_TESTS)

# Other versions of Python; `make test-pythons PYTHONS=3.13 PYTHON_3.13=/path/to/python` for one.
test-pythons: $(PYTHONS:%=test-python-%)

test-python-%: .venv-%/.installed
	.venv-$*/bin/pytest -n 2

# The wheel alone, outside the clone: the README's program without extras, then with `plot`.
test-wheel: wheel
	$(BIN)/python tests/support/bare_wheel.py dist/r2rise-*.whl

test-slow: install
	$(BIN)/pytest -m slow -n 2

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tests/support/check_english.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation site, in site/. It makes no outside request; broken links and anchors fail.
docs: install
	rm -rf site
	$(BIN)/zensical build --strict --clean

# Pictures, printed output and generated pages of docs/.
docs-regenerate: install
	$(BIN)/python tests/support/regenerate_docs.py

bench: install
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/service_load.py
	$(BIN)/python benchmarks/performance_page.py
	$(BIN)/python benchmarks/statistics_check.py
	$(BIN)/python benchmarks/fidelity.py
	$(BIN)/python benchmarks/planted.py
	$(BIN)/python benchmarks/answers_check.py
	$(BIN)/python benchmarks/certificate_check.py
	$(BIN)/python benchmarks/real_answers.py

# The wheel and the sdist of a release, in dist/.
wheel: install
	rm -rf dist
	$(BIN)/hatchling build
	ls -l dist

# Executes examples/tour.ipynb and writes it with its outputs.
notebook: install
	$(BIN)/python tests/support/notebook.py

# What docker-compose.yml mounts into its services; what is there already stays.
# Compose keeps owner and mode of the files, and the services run as users of their own:
# so everyone may read the files, and the folder keeps everyone else out.
secrets: $(addprefix secrets/,database_password first_key cluster_certificate)

secrets/:
	mkdir -m 700 $@

secrets/database_password: | secrets/
	openssl rand -hex -out $@ 32
	chmod 444 $@

secrets/first_key: | secrets/
	key=$$(openssl rand -hex 32) && echo "r2k_$$key" > $@
	chmod 444 $@

secrets/cluster_certificate: | secrets/
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
	  -subj /CN=r2rise-cluster -keyout secrets/cluster_key -out $@
	chmod 444 secrets/cluster_key $@

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,dev]"
	touch $@

$(NEWEST)/.installed: pyproject.toml constraints.txt
	test -x $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --constraint constraints.txt \
	  --editable ".[without-imitation,dev]" "gymnasium>=1.2"
	touch $@

.venv-3.%/.installed: pyproject.toml constraints.txt
	test -x $(@D)/bin/python || $(PYTHON_3.$*) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[all,dev]"
	touch $@

clean:
	rm -rf $(VENV) $(NEWEST) .venv-3.* dist out site .cache
	find . -name "*.nbc" -delete -o -name "*.nbi" -delete
