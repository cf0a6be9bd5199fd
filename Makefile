# SPDX-License-Identifier: Apache-2.0
# kd_perception without a ROS installation: everything happens in .venv, made on first use.
# With ROS: colcon build, then ros2 launch kd_perception thermal_seg.launch.py (see README.md).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := $(CURDIR)/.venv
PY := $(VENV)/bin/python
COLCON := $(VENV)/bin/colcon --log-base .colcon/log
ARGS ?=
# Processes that test.
JOBS ?= 2

# The environment is a world of its own: a sourced ROS installation must not shine through.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH COLCON_PREFIX_PATH CMAKE_PREFIX_PATH RMW_IMPLEMENTATION
# The wheels of ROS set it beside their LD_LIBRARY_PATH, and set neither where they find it.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
export AMENT_PREFIX_PATH := $(VENV)
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# pip says hundreds of lines: show how far it is, keep all of it for when it fails.
INSTALL = install_into_venv() { \
	$(PY) -m pip install --progress-bar off --no-input -c constraints.txt -e "$$1" 2>&1 \
		| tee $(VENV)/install.log | awk ' \
		/^ *Collecting/ { if (++n % 25 == 0) { print "    " n " packages found"; fflush() } } \
		/^Installing/ { print "    installing " NF - 3 " packages"; fflush() } \
		/^WARNING: Retrying/ { print; fflush() }' \
	|| { tail -n 40 $(VENV)/install.log >&2; exit 1; }; }; install_into_venv

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.installed-run  ## Thermal drive -> live node -> masks, report and video in demo/
	@$(VENV)/bin/kd-perception demo $(ARGS)

.PHONY: test
test: $(VENV)/.installed-test  ## All tests: pytest, then colcon build, test and test-result
	@echo '== pytest'
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)
	@$(MAKE) colcon

# The second pass shows that the package builds, installs and is tested as an ament_python package;
# tests that take long or talk ROS have just run above.
.PHONY: colcon
colcon: $(VENV)/.installed-test
	@echo '== colcon'
	@$(COLCON) list --base-paths . | tee .colcon-list
	@grep -q '^kd_perception.*(ros.ament_python)' .colcon-list || { rm -f .colcon-list; \
		echo 'colcon must see a ros.ament_python package: check package.xml' >&2; exit 1; }
	@rm -f .colcon-list
	@$(COLCON) build --base-paths . --build-base .colcon/build --install-base .colcon/install
	@rm -f .colcon/build/kd_perception/pytest.xml
	@$(COLCON) test --base-paths . --build-base .colcon/build --install-base .colcon/install \
		--return-code-on-test-failure \
		--pytest-args ' -n' '$(JOBS)' ' --dist' 'loadfile' ' -m' 'not slow and not ros and not ddp and not gpu and not launch' \
		$(foreach folder,models training world,' --ignore=test/$(folder)') || { \
		$(COLCON) test-result --test-result-base .colcon/build --verbose; exit 1; }
	@$(COLCON) test-result --test-result-base .colcon/build --all | tee .colcon/summary.txt
	@grep -Eq '^Summary: [1-9][0-9]* tests' .colcon/summary.txt || { \
		echo 'colcon must have run tests, and ran none: check extras_require in setup.py' >&2; exit 1; }

.PHONY: lint
lint: $(VENV)/.installed-test  ## ruff check, ruff format --check, mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy kd_perception $(wildcard training/losses)

.PHONY: bench
bench: $(VENV)/.installed-run  ## Latency of the live node at 30 Hz (ARGS for options)
	@$(PY) -m benchmarks.node_latency $(ARGS)

.PHONY: clean
clean:  ## Remove what was built and computed; .venv stays
	rm -rf .colcon build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		echo "Python 3.10 or newer is needed; '$(PYTHON)' is not: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'Python has no venv module. On Debian and Ubuntu: sudo apt install python3-venv' >&2; exit 1; }
	@echo '== making .venv'
	@$(PYTHON) -m venv $(VENV)

# Two stamps: the robot's needs come without torch, the tests' needs with it.
$(VENV)/.installed-run: setup.py constraints.txt | $(PY)
	@echo '== installing what the robot needs into .venv'
	@$(INSTALL) '.[ros]'
	@touch $@

$(VENV)/.installed-test: setup.py constraints.txt pyproject.toml | $(PY)
	@echo '== installing what the tests need into .venv (torch is large)'
	@$(INSTALL) '.[ros,test,dev,training]'
	@touch $@ $(VENV)/.installed-run
