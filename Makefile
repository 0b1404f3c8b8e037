# Chimney. Every target is one line; the logic is Python, in tb/ (`make help` lists targets and variables).
PYTHON ?= python3
VARIABLES := FILE SIM DEVICE PEER LOSS REORDER DUP CORRUPT DELAY SEED SEEDS SIZE CONNS FAMILY DATA_W WAVES OUT \
             FAILURE ID PATCH DUT TIER TEST REQUIRE JOBS MEM_LATENCY MSS IM CUTS SUITE OPS \
             VECTORS SCRIPTS FRAMES ECN MARK CUBIC SACK TRACE COVER COMMITS FILTER TIME CLUSTER RESUME MARGIN VIEW FOLDER AT \
             WHOLE

# A variable reaches Python through the environment exactly as it was typed: `$`, quotes, `#` and spaces are not
# make's to interpret, so the raw text (value) is assigned again as a simple variable and nothing is pasted in a recipe.
$(foreach v,$(VARIABLES),$(if $(filter undefined,$(origin $(v))),,$(eval override export $(v) := $$(value $(v)))))

# What was typed behind `make` and is no variable of this table (of make itself, CC and the like may be): refused there.
export CHIMNEY_TYPED := $(sort $(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $(v))),$(v))))

CHIMNEY := @exec $(PYTHON) tb/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run serve test test-all list regress soak interop goodput hostile bench bench-farm farm-test plan coverage coverage-null seam vectors packetdrill sabotage nightly synth formal lint replay check waves report doctor docs docs-test pictures layout clean
# One target at a time: the work inside is already spread over the cores.
.NOTPARALLEL:

help:      ; $(CHIMNEY) help
run:       ; $(CHIMNEY) run
serve:     ; $(CHIMNEY) serve
test:      ; $(CHIMNEY) test
test-all:  ; $(CHIMNEY) test-all
list:      ; $(CHIMNEY) list
regress:   ; $(CHIMNEY) regress
soak:      ; $(CHIMNEY) soak
interop:   ; $(CHIMNEY) interop
goodput:   ; $(CHIMNEY) goodput
hostile:   ; $(CHIMNEY) hostile
bench:     ; $(CHIMNEY) bench
bench-farm: ; $(CHIMNEY) bench-farm
farm-test: ; $(CHIMNEY) farm-test
plan:      ; $(CHIMNEY) plan
coverage:  ; $(CHIMNEY) coverage
coverage-null: ; $(CHIMNEY) coverage-null
seam:      ; $(CHIMNEY) seam
vectors:   ; $(CHIMNEY) vectors
packetdrill: ; $(CHIMNEY) packetdrill
sabotage:  ; $(CHIMNEY) sabotage
nightly:   ; $(CHIMNEY) nightly
synth:     ; $(CHIMNEY) synth
formal:    ; $(CHIMNEY) formal
lint:      ; $(CHIMNEY) lint
replay:    ; $(CHIMNEY) replay
check:     ; $(CHIMNEY) check
waves:     ; $(CHIMNEY) waves
report:    ; $(CHIMNEY) report
doctor:    ; $(CHIMNEY) doctor
docs:      ; $(CHIMNEY) docs
docs-test: ; $(CHIMNEY) docs-test
pictures:  ; $(CHIMNEY) pictures
layout:    ; $(CHIMNEY) layout
clean:     ; $(CHIMNEY) clean
