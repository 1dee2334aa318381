# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0

PYTHON      ?= python3
VENV        ?= .venv
# Versions to install; CONSTRAINTS=/dev/null takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
# Tests side by side.
JOBS        ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)

# Which tests, by words of their names: T=engine.
T           ?=

# Of `make perplexity` and `make quantizers`: the test split of WikiText-2, tokenized, with <unk>.
TEXT        ?=

# Options of `make bench`, of `make mutate`, of `make quantizers`.
BENCH       ?=
MUTATE      ?=
QUANTIZERS  ?=

# Of `make fpga`: schemes (without: all), devices or a board, and further options.
SCHEME      ?=
DEVICE      ?= ecp5-85k ecp5-25k
BOARD       ?=
FPGA        ?=

INSTALLED := $(VENV)/.subbyte-installed
PLACERS   := $(VENV)/.subbyte-fpga-installed
PAGES     := $(VENV)/.subbyte-docs-installed
SYSTEM    := $(VENV)/.subbyte-soc-installed
RUN       := $(VENV)/bin/python -m

# A Makefile's own variables reach the programs through the environment: WAVES=1, SEED=7, REQUIRE_IVERILOG=1.
export WAVES SEED REQUIRE_IVERILOG

.DEFAULT_GOAL := help
.PHONY: help demo test test-long formal netlist mutate mutate-check coverage verilog soc lint model bench perplexity quantizers widths area area-check fpga report figures docs clean tools

help:  ## show this list
	@echo "subbyte: RTL for matrix products with sub-byte weights"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## */\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-13s%s\n", $$1, $$2}'
	@echo
	@echo "Every command sets up $(VENV) by itself. The command line: $(VENV)/bin/subbyte --help"

demo: tools $(INSTALLED)  ## generate the RTL, run a layer of a real model through it, say what happened
	@$(RUN) subbyte.cli.demo

test: tools $(INSTALLED)  ## run all tests, or T=... those that match (WAVES=1 writes traces, SEED=n repeats a run, JOBS=n side by side)
	@$(RUN) pytest -n $(JOBS) --dist worksteal $(if $(T),-k "$(T)")

test-long: tools $(INSTALLED)  ## run the tests that make test leaves out for their time
	@$(RUN) pytest -n $(JOBS) --dist worksteal -m long $(if $(T),-k "$(T)")

formal: tools $(INSTALLED)  ## prove what is proved: the shell and the buses, for all pauses, to a depth of cycles
	@$(RUN) pytest -n $(JOBS) --dist worksteal -m formal $(if $(T),-k "$(T)")

netlist: tools $(INSTALLED)  ## compare mapped netlists with golden and with the RTL (LIBERTY="FILE..." in that cell library, too)
	@LIBERTY="$(LIBERTY)" $(RUN) pytest -n $(JOBS) --dist worksteal -m "" tb/test_netlists.py $(if $(T),-k "$(T)")

mutate: tools $(INSTALLED)  ## put faults into the RTL, and say which of them the benches notice (SCHEME=..., MUTATE="--sample 100"; hours)
	@$(RUN) subbyte.cli mutate $(or $(SCHEME),all) --jobs $(JOBS) --json build/mutate.json $(MUTATE)

mutate-check: tools $(INSTALLED)  ## the same of a small fixed sample, which must leave nothing alive
	@$(RUN) subbyte.cli mutate all --campaign rsr --campaign shell --sample 40 --jobs $(JOBS) --check

coverage: tools $(INSTALLED)  ## lines, branches and bits of the RTL that the engines' benches reach; what they do not: build/coverage/index.html
	@$(RUN) subbyte.cli.coverage $(SCHEME) --jobs $(JOBS)

verilog: tools $(INSTALLED)  ## write build/verilog/<scheme>_{pe,engine,accelerator,accelerator_stream}.v, each with its .json manifest
	@$(RUN) subbyte.cli.verilog_all

soc: tools $(INSTALLED)  ## simulate a LiteX SoC whose RISC-V core runs a layer on two accelerators
	@$(VENV)/bin/python examples/litex/soc.py --check
	@$(MAKE) --no-print-directory $(SYSTEM)
	@$(VENV)/bin/python examples/litex/soc.py

lint: tools $(INSTALLED)  ## check the RTL of many configurations (Verilator, Icarus, Yosys) and the Python
	@$(RUN) subbyte.cli.lint

model: tools $(INSTALLED)  ## fetch SmolLM2-135M into build/model (94 MB)
	@$(RUN) subbyte.weights.smollm2

bench: tools $(INSTALLED)  ## measure what README.md states: accuracy, utilization, speed (BENCH="--scheme NAME"; BENCH=--help)
	@$(RUN) subbyte.cli.bench $(BENCH)

perplexity: tools $(INSTALLED)  ## compare perplexities with recorded ones: TEXT=wikitext2-test.txt (four hours of a processor)
	@$(RUN) subbyte.cli.perplexities $(TEXT)

quantizers: tools $(INSTALLED)  ## compare quantizers of binary codes with uniform weights: TEXT=wikitext2-test.txt (QUANTIZERS=--help)
	@$(RUN) subbyte.cli.quantizers $(TEXT) $(QUANTIZERS)

widths: tools $(INSTALLED)  ## what bcq's arithmetic loses on all layers of SmolLM2, by the width of its aligned activations
	@$(RUN) subbyte.cli.widths

area: tools $(INSTALLED)  ## what every design costs, in gate equivalents (LIBERTY="FILE..." in um2 of a cell library)
	@$(RUN) subbyte.cli area $(foreach file,$(LIBERTY),--liberty $(file)) --json build/area.json

area-check: tools $(INSTALLED)  ## compare processing elements with schemes/area (UPDATE=1 writes it)
	@$(RUN) subbyte.synth.guard $(if $(UPDATE),--update)

fpga: tools $(PLACERS)  ## what designs take of an FPGA (DEVICE="ecp5-25k ice40-hx8k", SCHEME=..., BOARD=ulx3s-85f, FPGA="--freq 80")
	@$(RUN) subbyte.cli fpga $(SCHEME) --json build/fpga$(if $(BOARD),-$(BOARD)).json $(FPGA) \
	  $(if $(BOARD),--board $(BOARD),$(foreach device,$(DEVICE),--device $(device)))

report: tools $(PLACERS)  ## compare all designs in build/report/report.html; runs area and fpga where they did not run
	@$(RUN) subbyte.cli report

figures: tools $(INSTALLED)  ## renew the table of designs in docs/figures.md and its plot; needs LIBERTY="FILE..."
	@$(RUN) subbyte.cli area $(foreach file,$(LIBERTY),--liberty $(file)) --json docs/figures.json
	@$(RUN) subbyte.cli report --area docs/figures.json --page docs/figures.md

docs: tools $(PAGES)  ## write the site: build/docs/index.html
	@$(VENV)/bin/sphinx-build -W --keep-going -q -j auto -d build/docs-doctrees docs build/docs
	@echo "wrote build/docs/index.html"

clean:  ## remove build/: everything generated or fetched
	rm -rf build

# What pip cannot bring, asked for before anything else runs.
tools:
	@failed=0; \
	missing() { echo "error: $$1" >&2; failed=1; }; \
	if ! command -v $(PYTHON) >/dev/null; then \
	  missing "Python is missing ($(PYTHON)). Debian/Ubuntu: apt install python3 python3-venv; or name one: make PYTHON=..."; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  missing "Python 3.11 or newer is needed, $(PYTHON) is older. Install one and name it: make PYTHON=python3.12"; \
	elif ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
	  missing "Python's venv module is missing. Debian/Ubuntu: apt install python3-venv"; \
	fi; \
	command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  missing "a C++ compiler (c++, g++ or clang++) is missing. Debian/Ubuntu: apt install g++; Fedora: dnf install gcc-c++"; \
	exit $$failed

$(PLACERS): $(INSTALLED)
	@echo "fetching place and route for FPGAs (once; 130 MB)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[fpga]'
	@touch $@

$(SYSTEM): $(INSTALLED)
	@echo "fetching LiteX (once; a minute)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[soc]'
	@touch $@

$(PAGES): $(INSTALLED)
	@echo "fetching what makes the site (once; a minute)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[docs]'
	@touch $@

$(INSTALLED): pyproject.toml $(wildcard constraints.txt) | tools
	@echo "setting up $(VENV) (once; takes a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[test]'
	@touch $@
