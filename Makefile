# Each command sets itself up; a machine needs Python 3.10 or newer and make. With npm, which
# brings a local Azure store, Azure is tested too (REQUIRE_AZURITE=1: without npm these tests fail).
#   PYTHON=python3.12   which Python makes the environments (`make clean` first, to change it)
#   TESTS=tests/uploads    which tests
#   WORKERS=0           how many processes share the tests; 0 is the one that is easy to debug
#   BASE_URI=azure://lab  where the demo keeps its datasets
#   CEPH_ROOT=/opt/ceph where Ceph's packages are unpacked already
#   ARGS='-k expiry'    options passed on to the command that runs

PYTHON ?= python3
TESTS ?= tests
WORKERS ?= 3
ARGS ?=
ONCE ?=
BASE_URI ?=

VENV := .venv
NEXT := .venv-next
# As in dserver_signed_url_plugin/demo/azurite.py.
AZURITE := 3.35.0
CEPH_ROOT ?= $(VENV)/ceph/root
FOR_AZURE := $(VENV)/.has-azure $(VENV)/.azurite-$(AZURITE)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Otherwise a pip before 23.1 builds dtool-s3 in its legacy way, and says so at length.
export PIP_USE_PEP517 := 1

.DEFAULT_GOAL := help
# Two pips in one environment would trip over each other.
.NOTPARALLEL:
.PHONY: help demo test test-next test-ceph ceph lint docs bench clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.has-demo $(if $(filter azure://%,$(BASE_URI)),$(FOR_AZURE))  ## deposit, find and download a dataset before your eyes, keep serving (ONCE=1: exit)
	$(VENV)/bin/dserver-signed-url-demo $(if $(ONCE),--once) $(if $(BASE_URI),--base-uri $(BASE_URI)) $(ARGS)

test: $(VENV)/.has-test $(VENV)/.azurite-$(AZURITE)  ## run the tests against the released dserver
	$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) $(TESTS) $(ARGS)

test-next: $(NEXT)/.has-next $(NEXT)/.azurite-$(AZURITE)  ## run the same tests with Flask 3, marshmallow 4 and flask-smorest 0.47, not with unreleased dservercore
	$(NEXT)/bin/python -m pytest --numprocesses $(WORKERS) $(TESTS) $(ARGS)

test-ceph: $(VENV)/.has-test ceph  ## run the tests on a real Ceph RGW, out of Debian's packages
	CEPH_ROOT=$(CEPH_ROOT) $(VENV)/bin/python -m pytest --numprocesses 0 tests/ceph $(ARGS)

ceph: $(CEPH_ROOT)  ## download Ceph and unpack it into .venv; fails where there is none

lint: $(VENV)/.has-dev  ## check style, types and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(VENV)/.has-docs  ## build the documentation into build/docs; warnings are errors
	$(VENV)/bin/python -m sphinx -W --keep-going -n -q -b html -d build/doctrees docs build/docs $(ARGS)
	@echo "Open build/docs/index.html"

bench: $(VENV)/.has-test  ## measure signing, and each route with 10, 1,000 and 10,000 items
	$(VENV)/bin/python -m benchmarks $(ARGS)

clean:  ## remove the environments and every cache
	rm -rf $(VENV) $(NEXT) build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says which extra an environment has, and for which pyproject.toml.
$(VENV)/.has-%: pyproject.toml | $(VENV)/.made
	@echo "Installing the package with its extra '$*' into $(@D) (a minute, the first time)"
	@$(VENV)/bin/python -m pip install --quiet --editable '.[$*]'
	@touch $@

# pip would not choose what requirements-next.txt asks for beside the released dservercore, so it
# comes second, over the first choice, and the one broken bound is not worth a warning.
$(NEXT)/.has-next: pyproject.toml requirements-next.txt | $(NEXT)/.made
	@echo "Installing the package into $(@D), then what requirements-next.txt raises"
	@$(NEXT)/bin/python -m pip install --quiet --editable '.[test]'
	@$(NEXT)/bin/python -m pip install --quiet --upgrade --no-warn-conflicts \
		--requirement requirements-next.txt
	@touch $@

# Azurite, the local Azure store, is a program for Node; without Node its tests are skipped.
%/.azurite-$(AZURITE): | %/.made
	@if command -v npm >/dev/null; then \
		echo "Installing Azurite $(AZURITE) into $(@D) (half a minute, 190 MB)"; \
		npm install --silent --no-save --no-audit --no-fund --prefix $(@D) azurite@$(AZURITE) && \
		touch $@; \
	else \
		echo 'No npm, so no local Azure store; what needs it is skipped. Type: sudo apt-get install nodejs npm' >&2; \
	fi

# Nothing is installed, so that nobody has to be root.
$(VENV)/ceph/root: | $(VENV)/.made
	@echo "Unpacking Ceph into $(@D) (up to 400 MB)"
	@$(VENV)/bin/python -m tests.support.ceph_packages $(@D)

# Debian keeps what `python -m venv` needs in a package of its own.
VENV_PACKAGE = $(notdir $(PYTHON))-venv

$(VENV)/.made $(NEXT)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo 'Python 3.10 or newer is needed. Name yours: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		echo 'Installing $(VENV_PACKAGE)' && apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
			$(VENV_PACKAGE) >/dev/null; } || { \
		echo 'This Python cannot make environments. Type:' >&2; \
		echo '    sudo apt-get install $(VENV_PACKAGE)' >&2; exit 1; }
	@$(PYTHON) -m venv $(@D)
	@touch $@
