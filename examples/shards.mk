# Training data as tar shards: `make -f shards.mk -j4 FOLDER=maestro-v3.0.0` lists what is in the folder, then makes
# PARTS parts of the shards of each split, so many at a time. Interrupted, it goes on where it stopped. The same command
# as a Slurm array: shards.sbatch. What a folder holds may be MAESTRO, Slakh2100, a MIDI pack or MIDI and recordings.
HSMAD ?= $(or $(wildcard $(dir $(lastword $(MAKEFILE_LIST)))../.venv/bin/hsmad),hsmad)
FOLDER ?= maestro-v3.0.0
SHARDS ?= shards
PARTS ?= 8
SPLITS ?= train validation
HOURS_train ?= 100
HOURS_validation ?= 5
OPTIONS ?= --tier A --tier B --sound flac
NUMBERS := $(shell seq 0 $$(($(PARTS) - 1)))

.PHONY: all $(foreach split,$(SPLITS),$(NUMBERS:%=$(split)-%))
.DELETE_ON_ERROR:

all: $(foreach split,$(SPLITS),$(NUMBERS:%=$(split)-%))

# Exit code 8: some items are missing or corrupt; they are named above and left out.
$(SHARDS)/manifest.jsonl:
	mkdir -p $(@D)
	$(HSMAD) manifest $(FOLDER) -o $@ || [ $$? -eq 8 ]

define part_of_split
$(1)-$(2): $(SHARDS)/manifest.jsonl
	$(HSMAD) dataset $$< --shards $(SHARDS)/$(1) --shard $(2)/$(PARTS) --split $(1) --hours $(HOURS_$(1)) \
		--workers 1 $(OPTIONS)
endef
$(foreach split,$(SPLITS),$(foreach number,$(NUMBERS),$(eval $(call part_of_split,$(split),$(number)))))
