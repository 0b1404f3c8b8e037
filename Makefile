# Chimney. Every target is one line; the logic is Python, in tb/ (`make help` lists targets and variables).
PYTHON ?= python3
VARIABLES := FILE SIM DEVICE PEER LOSS REORDER DUP CORRUPT DELAY SEED SEEDS SIZE CONNS FAMILY DATA_W WAVES OUT \
             FAILURE ID PATCH TIER TEST REQUIRE JOBS MEM_LATENCY MSS IM CUTS SUITE OPS \
             VECTORS SCRIPTS FRAMES ECN MARK CUBIC SACK TRACE COMMITS

# A variable reaches Python through the environment exactly as it was typed: `$`, quotes, `#` and spaces are not
# make's to interpret, so the raw text (value) is assigned again as a simple variable and nothing is pasted in a recipe.
$(foreach v,$(VARIABLES),$(if $(filter undefined,$(origin $(v))),,$(eval override export $(v) := $$(value $(v)))))

CHIMNEY := @exec $(PYTHON) tb/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run serve test test-all list regress soak interop goodput hostile bench plan seam vectors packetdrill sabotage synth lint replay check waves doctor docs-test layout clean
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
plan:      ; $(CHIMNEY) plan
seam:      ; $(CHIMNEY) seam
vectors:   ; $(CHIMNEY) vectors
packetdrill: ; $(CHIMNEY) packetdrill
sabotage:  ; $(CHIMNEY) sabotage
synth:     ; $(CHIMNEY) synth
lint:      ; $(CHIMNEY) lint
replay:    ; $(CHIMNEY) replay
check:     ; $(CHIMNEY) check
waves:     ; $(CHIMNEY) waves
doctor:    ; $(CHIMNEY) doctor
docs-test: ; $(CHIMNEY) docs-test
layout:    ; $(CHIMNEY) layout
clean:     ; $(CHIMNEY) clean
