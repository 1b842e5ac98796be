# Better weights from those that are shipped, on two GPUs in 25 minutes: the codec on both; then, side by side, its decoder
# against a discriminator and the denoiser on its latents (the encoder stays, so the two fit together); and a judge of style.
#
#     make -j4 -f examples/successor.mk PACK=train-midi SOUNDFONT="FluidR3Mono_GM.sf3 MuseScore_General_Lite.sf3"
#
# Clips for a later stage are made while an earlier one trains. Interrupted, it goes on where it stopped. Judge the result
# with `hsmad benchmark PACK --soundfont FONT --codec-only --codec RUNS/codec/vae.safetensors` before it is shipped.
HERE := $(dir $(lastword $(MAKEFILE_LIST)))
HSMAD ?= $(or $(wildcard $(HERE)../.venv/bin/hsmad),hsmad)
TORCHRUN ?= $(or $(wildcard $(HERE)../.venv/bin/torchrun),torchrun) --standalone
PACK ?= train-midi
SOUNDFONT ?= FluidR3Mono_GM.sf3 MuseScore_General_Lite.sf3
SHIPPED ?= $(HERE)../weights
RUNS ?= successor
GPUS ?= 2
FIRST_GPU ?= 0
LAST_GPU ?= $(shell echo $$(($(GPUS) - 1)))
PRESET ?= base

CODEC_HOURS ?= 14
CODEC_SECONDS ?= 540
CODEC_FROM ?= --init $(SHIPPED)/vae.safetensors
CODEC_OPTIONS ?= --batch 64 --set train_vae.warmup=200 --set train_vae.decay=0.45

DECODER_SECONDS ?= 420
DECODER_OPTIONS ?= --batch 64 --set train_vae.learning_rate=4e-4 --set train_vae.warmup=100 --set train_vae.decay=0.45

# It begins with these hours and goes on with fresh ones; with few it learns them by heart, so half of all cores make them.
DENOISER_HOURS ?= 16
DENOISER_FRESH ?= $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) + 1) / 2 )))
DENOISER_SEED ?= 7
DENOISER_SECONDS ?= 720
DENOISER_FROM ?= --init $(SHIPPED)/denoiser.safetensors
DENOISER_STYLE ?= $(SHIPPED)/style.safetensors
DENOISER_OPTIONS ?= --batch 32 --set train_denoiser.warmup=300 --set train_denoiser.decay=0.4

SCORER_PRESET ?= scorer
SCORER_HOURS ?= 14
SCORER_SECONDS ?= 240
SCORER_OPTIONS ?= --seed 1
SCORER_CLIPS ?= --seed 1 --clip-seconds 12.8 --set siblings=16

# Clips that are made beside a training must not hold it up: its kernels are compiled on the same cores.
ASIDE ?= nice -n 10
EVERY_STEP := --steps 1000000
FONTS := $(SOUNDFONT:%=--soundfont %)
bank = $(RUNS)/clips/$(1)/bank-*
DENOISER_CLIPS = --hours $(DENOISER_HOURS) --soundfont $(firstword $(SOUNDFONT)) --seed $(DENOISER_SEED)

.PHONY: all
.DELETE_ON_ERROR:
.SECONDARY:

all: $(RUNS)/decoder/vae.safetensors $(RUNS)/denoiser/denoiser.safetensors $(RUNS)/scorer/style.safetensors

$(RUNS)/clips/codec.made:
	$(HSMAD) dataset $(PACK) --cache $(@:.made=) --hours $(CODEC_HOURS) $(FONTS)
	touch $@

$(RUNS)/clips/scorer.made: $(RUNS)/clips/codec.made
	$(ASIDE) $(HSMAD) dataset $(PACK) --cache $(@:.made=) --hours $(SCORER_HOURS) --soundfont $(lastword $(SOUNDFONT)) $(SCORER_CLIPS)
	touch $@

$(RUNS)/clips/denoiser.made: $(RUNS)/clips/codec.made
	$(ASIDE) $(HSMAD) dataset $(PACK) --cache $(@:.made=) $(DENOISER_CLIPS)
	touch $@

$(RUNS)/codec/vae.safetensors: | $(RUNS)/clips/codec.made
	$(TORCHRUN) --nproc-per-node $(GPUS) -m hsmad_cli train --stage vae --preset $(PRESET) --resume -o $(@D) \
		--data $(call bank,codec) $(CODEC_FROM) $(EVERY_STEP) --seconds $(CODEC_SECONDS) $(CODEC_OPTIONS)

# The first GPU judges style, then sharpens the decoder; the last one trains the denoiser.
$(RUNS)/scorer/style.safetensors: $(RUNS)/codec/vae.safetensors | $(RUNS)/clips/scorer.made
	CUDA_VISIBLE_DEVICES=$(FIRST_GPU) $(HSMAD) train --stage style --preset $(SCORER_PRESET) --resume -o $(@D) \
		--data $(call bank,scorer) $(EVERY_STEP) --seconds $(SCORER_SECONDS) $(SCORER_OPTIONS)

$(RUNS)/decoder/vae.safetensors: $(RUNS)/codec/vae.safetensors | $(RUNS)/scorer/style.safetensors
	CUDA_VISIBLE_DEVICES=$(FIRST_GPU) $(HSMAD) train --stage vae --preset $(PRESET) --resume -o $(@D) \
		--data $(call bank,codec) --init $< --set 'train_vae.frozen=["encoder"]' --set train_vae.adversarial_from=500 \
		$(EVERY_STEP) --seconds $(DECODER_SECONDS) $(DECODER_OPTIONS)

$(RUNS)/denoiser/denoiser.safetensors: $(RUNS)/codec/vae.safetensors | $(RUNS)/clips/denoiser.made
	CUDA_VISIBLE_DEVICES=$(LAST_GPU) $(HSMAD) train --stage denoiser --preset $(PRESET) --resume -o $(@D) \
		--data $(PACK) --cache $(RUNS)/clips/denoiser $(DENOISER_CLIPS) --refresh $(DENOISER_FRESH) \
		--codec $< --style-encoder $(DENOISER_STYLE) $(DENOISER_FROM) \
		$(EVERY_STEP) --seconds $(DENOISER_SECONDS) $(DENOISER_OPTIONS)
