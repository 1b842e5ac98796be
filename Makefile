# `make demo` makes music, `make test` runs the tests; both do all the set-up. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PACK ?= ../train-midi
RUNS ?= runs
NPROC ?= $(shell nvidia-smi -L 2>/dev/null | grep -c GPU)
TORCHRUN = $(BIN)/torchrun --standalone --nproc-per-node $(if $(filter 0,$(NPROC)),1,$(NPROC))
export OMP_WAIT_POLICY = passive

.PHONY: help demo test lint judges install clean
.DELETE_ON_ERROR:

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: demo.wav judges ## install, play examples/prelude.mid into demo.wav, and say how it scored
	$(BIN)/hsmad transcribe-eval demo.wav examples/prelude.mid

demo.wav: examples/prelude.mid $(VENV)/.installed
	$(BIN)/hsmad sample $< --style "solo piano, romantic" --force -o $@

test: $(VENV)/.judges $(VENV)/.dev ## install and run the default test suite
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

install: $(VENV)/.installed ## the virtual environment with hsmad in it
judges: $(VENV)/.judges ## the transcribers that score music

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt -e '.[text,plot]'
	@touch $@

# Basic Pitch's metadata asks for TensorFlow, which it does not need: its ONNX model runs without.
$(VENV)/.judges: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[judges]'
	$(PIP) install -c constraints.txt --no-deps basic-pitch
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

clean: ## remove the environment and all that was built
	rm -rf $(VENV) demo.wav build dist *.egg-info
