# `make demo` makes music, `make test` runs the tests; both do all the set-up. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PACK ?= ../train-midi
SOUNDFONT ?=
LANGUAGE_MODEL ?=
HOURS ?= 24
# Half of the cores make fresh clips, shared out among the processes of training.
FRESH ?= $(shell echo $$(( (($$(getconf _NPROCESSORS_ONLN) + 1) / 2 + $(PROCESSES) - 1) / $(PROCESSES) )))
RUNS ?= runs
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | grep -c GPU)
PROCESSES = $(if $(filter 0,$(GPUS)),1,$(GPUS))
TRAIN = $(BIN)/torchrun --standalone --nproc-per-node $(PROCESSES) -m hsmad_cli train \
	--data $(PACK) --hours $(HOURS) $(SOUNDFONT:%=--soundfont %) --cache $(RUNS)/cache --resume $(TRAIN_OPTIONS)
export OMP_WAIT_POLICY = passive

.PHONY: help demo test train lint judges install clean
.DELETE_ON_ERROR:

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: demo.wav judges ## install, play examples/jazz_trio.mid into demo.wav, and say how it scored
	$(BIN)/hsmad transcribe-eval demo.wav examples/jazz_trio.mid

demo.wav: examples/jazz_trio.mid $(VENV)/.installed
	$(BIN)/hsmad sample $< --style "jazz trio" --wh 4 --force -o $@

test: $(VENV)/.judges $(VENV)/.dev ## install and run the default test suite
	$(BIN)/python -m pytest -m "not slow"

train: $(RUNS)/denoiser/denoiser.safetensors ## all stages: make train PACK=midi-pack SOUNDFONT="a.sf3 b.sf3" HOURS=24

$(RUNS)/vae/vae.safetensors: | $(VENV)/.installed
	$(TRAIN) --stage vae -o $(@D)

$(RUNS)/style/style.safetensors: | $(VENV)/.installed
	$(TRAIN) --stage style -o $(@D)

$(RUNS)/phrasing/style.safetensors: $(RUNS)/style/style.safetensors
	$(TRAIN) --stage phrasing -o $(@D) --style-encoder $< $(LANGUAGE_MODEL:%=--language-model %)

$(RUNS)/denoiser/denoiser.safetensors: $(RUNS)/vae/vae.safetensors $(RUNS)/phrasing/style.safetensors
	$(TRAIN) --stage denoiser -o $(@D) --codec $< --style-encoder $(word 2,$^) --refresh $(FRESH)

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

# TinySoundFont's metadata asks for PyAudio, which only plays to loudspeakers and seldom builds.
$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	$(PIP) install -c constraints.txt --no-deps tinysoundfont
	@touch $@

clean: ## remove the environment and all that was built
	rm -rf $(VENV) demo.wav build dist *.egg-info
