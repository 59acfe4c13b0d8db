# Every target creates the environment it needs, from Python 3.10 or newer. The tests on Azure need
# npm as well, to install a local Azure store, those of lists curl and aria2c, those of alerts
# promtool, and those in a browser Chromium and npm; without them they are skipped, or fail if
# REQUIRE_AZURITE=1, REQUIRE_PROGRAMS=1 or REQUIRE_CHROMIUM=1 is set.
#   PYTHON=python3.12     the Python for new environments (run `make clean` to change it)
#   TESTS=tests/uploads   the tests to run
#   WORKERS=0             the number of parallel test processes; 0 is easiest to debug
#   ONCE=1                end the demo after the walkthrough
#   BASE_URI=azure://lab  the base URI of the demo
#   CEPH_ROOT=/opt/ceph   a directory in which Ceph's packages are already unpacked
#   QUICK=1               a short benchmark, with few items
#   PLOT=1                write the benchmark's tables and plots into docs/performance
#   BASE=f0752d6          measure another revision, too
#   ARGS='-k expiry'      options for the command that is run

PYTHON ?= python3
TESTS ?= tests client/tests index/tests
WORKERS ?= 3
ARGS ?=
ONCE ?=
BASE_URI ?=
QUICK ?=
PLOT ?=
BASE ?=

VENV := .venv
NEXT := .venv-next
# The same version as in dserver_signed_url_plugin/demo/azurite.py.
AZURITE := 3.35.0
AXE := 4.14.1
CEPH_ROOT ?= $(VENV)/ceph/root
FOR_TESTS := .azurite-$(AZURITE) .programs-unpacked .axe-$(AXE) .chromium-found

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Otherwise pip before 23.1 builds dtool-s3 with setup.py, and prints a long warning.
export PIP_USE_PEP517 := 1

# Each worker gets consecutive tests, whose modules share what takes long to make.
PYTEST := -m pytest --numprocesses $(WORKERS) --dist worksteal

# Tests start many processes, each of which would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
# pip must not run twice at the same time in one environment.
.NOTPARALLEL:
.PHONY: help demo test test-next test-ceph ceph lint docs bench clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.has-demo $(if $(filter azure://%,$(BASE_URI)),$(VENV)/.azurite-$(AZURITE))  ## deposit, find and download a dataset on this machine, then keep serving (ONCE=1: exit)
	$(VENV)/bin/dserver-signed-url-demo $(if $(ONCE),--once) $(if $(BASE_URI),--base-uri $(BASE_URI)) $(ARGS)

test: $(VENV)/.has-test $(addprefix $(VENV)/,$(FOR_TESTS))  ## run the tests against the released dserver
	$(VENV)/bin/python $(PYTEST) $(TESTS) $(ARGS)

test-next: $(NEXT)/.has-next $(addprefix $(NEXT)/,$(FOR_TESTS))  ## run the tests with Flask 3, marshmallow 4 and flask-smorest 0.47
	$(NEXT)/bin/python $(PYTEST) $(TESTS) $(ARGS)

test-ceph: $(VENV)/.has-test ceph  ## run the tests against a Ceph RGW from Debian's packages
	CEPH_ROOT=$(CEPH_ROOT) $(VENV)/bin/python -m pytest --numprocesses 0 tests/ceph $(ARGS)

ceph: $(CEPH_ROOT)  ## download Debian's packages of Ceph and unpack them into .venv

lint: $(VENV)/.has-dev  ## check style, types and import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --platform win32 client/dserver_client
	$(VENV)/bin/lint-imports

docs: $(VENV)/.has-docs  ## build the documentation into build/docs; warnings are errors
	$(VENV)/bin/python -m sphinx -W --keep-going -n -q -b html -d build/doctrees docs build/docs $(ARGS)
	@echo "Open build/docs/index.html"

bench: $(VENV)/.has-bench  ## compare signing, routes and the client with others and with the goals (PLOT=1: into docs)
	$(VENV)/bin/python -W ignore -m benchmarks $(if $(QUICK),--quick) $(if $(PLOT),--plot) $(if $(BASE),--base $(BASE)) $(ARGS)

clean:  ## remove the environments and every cache
	rm -rf $(VENV) $(NEXT) build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each of these files marks an installed extra, which is installed again if a requirement changes.
# The demo does without the client, and the documentation without the index.
$(VENV)/.has-%: pyproject.toml client/pyproject.toml index/pyproject.toml | $(VENV)/.made
	@echo "Installing the package with its extra '$*' into $(@D) (a minute, the first time)"
	@$(VENV)/bin/python -m pip install --quiet --editable '.[$*]' \
		$(if $(filter test dev,$*),--editable './client[test]') $(if $(filter docs bench,$*),--editable ./client) \
		$(if $(filter-out docs,$*),--editable ./index)
	@touch $@

# requirements-next.txt contradicts a requirement of the released dservercore, so it is installed
# in a second step, without the warning about the conflict.
$(NEXT)/.has-next: pyproject.toml client/pyproject.toml index/pyproject.toml requirements-next.txt | $(NEXT)/.made
	@echo "Installing the package into $(@D), then the newer versions of requirements-next.txt"
	@$(NEXT)/bin/python -m pip install --quiet --editable '.[test]' --editable './client[test]' \
		--editable ./index
	@$(NEXT)/bin/python -m pip install --quiet --upgrade --no-warn-conflicts \
		--requirement requirements-next.txt
	@touch $@

# Azurite, the local Azure store, runs on Node.
%/.azurite-$(AZURITE): | %/.made
	@if command -v npm >/dev/null; then \
		echo "Installing Azurite $(AZURITE) into $(@D) (half a minute, 190 MB)"; \
		npm install --silent --no-save --no-audit --no-fund --prefix $(@D) azurite@$(AZURITE) && \
		touch $@; \
	else \
		echo 'Without npm no local Azure store can be installed: its tests are skipped. To run them: sudo apt-get install nodejs npm' >&2; \
	fi

# axe-core checks pages in Chromium for accessibility. It has a directory of its own, because npm
# removes from another what it is not asked for.
%/.axe-$(AXE): | %/.made
	@if command -v npm >/dev/null; then \
		npm install --silent --no-save --no-audit --no-fund --prefix $(@D)/axe axe-core@$(AXE) && \
		touch $@; \
	else \
		echo 'Without npm the tests of accessibility are skipped. To run them: sudo apt-get install nodejs npm' >&2; \
	fi

%/.chromium-found: | %/.made
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then \
		touch $@; \
	else \
		echo 'Without Chromium the tests in a browser are skipped. To run them: sudo apt-get install chromium' >&2; \
	fi >/dev/null

# The packages are unpacked, not installed, which needs no root rights.
$(VENV)/ceph/root: | $(VENV)/.made
	@echo "Unpacking Ceph into $(@D) (up to 400 MB)"
	@$(VENV)/bin/python -m tests.support.debian_packages $(@D) ceph-common ceph-mon ceph-osd radosgw

# Programs that tests run; without them they are skipped. promtool is part of Prometheus.
%/.programs-unpacked: | %/.made
	@if command -v aria2c && command -v promtool || \
		$(@D)/bin/python -m tests.support.debian_packages $(@D)/programs aria2 prometheus; then \
		touch $@; \
	else \
		echo 'Without aria2c and promtool the tests that run them are skipped. To run them: sudo apt-get install aria2 prometheus' >&2; \
	fi >/dev/null

# On Debian, `python -m venv` needs a separate package.
VENV_PACKAGE = $(notdir $(PYTHON))-venv

$(VENV)/.made $(NEXT)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo 'Python 3.10 or newer is needed. To choose another: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		echo 'Installing $(VENV_PACKAGE)' && apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
			$(VENV_PACKAGE) >/dev/null; } || { \
		echo 'This Python cannot create virtual environments. Run:' >&2; \
		echo '    sudo apt-get install $(VENV_PACKAGE)' >&2; exit 1; }
	@$(PYTHON) -m venv $(@D)
	@touch $@
