# The front door. `make demo` shows the product, `make test` proves it; each installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

.PHONY: help setup build engine demo test bench docs clean image image-tool vm test-image image-check relock cases mutants fuzz

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: ## install what the machine lacks: Debian packages, cargo tools, judges
	@tests/setup.sh

build: setup
	@tests/step.sh "Building the programs" cargo build --locked --workspace --bins

engine: build ## fetch, check and unpack the inference engine
	@target/debug/freehold-image engine

demo: engine ## a console and four boxes on this machine: prove, ask, attack, roll out, check (ONCE=1: leave after the acts)
	@TSS2_LOG=all+NONE tests/as-root.sh target/debug/freehold-tour $(if $(ONCE),--once)

test: ## everything: format, lints, docs, laws, tests, tour, browser, licences (IMAGE=1: and the image with its quick cases)
	@tests/test.sh $(if $(IMAGE),image)

cases: ## the table of trust cases against the tests that show them
	@cargo run --quiet --locked -p freehold-laws --bin cases

mutants: ## take each check away and see its test fail (CODE=quote.nonce: one; CHANGED=base: what a change touches)
	@cargo run --quiet --locked -p freehold-laws --bin mutants

fuzz: ## mutated bytes into every parser of outside bytes (SECONDS_EACH=60, TARGET=name)
	@tests/fuzz/run.sh

bench: engine ## the figures of docs/benchmarks.md, each beside its peer
	@tests/bench/run.sh

image-tool: setup
	@tests/step.sh "Building the image tool" cargo build --locked -p freehold-image

image: image-tool ## the operating system: a signed, measured disk image (development keys on the first build; DEV=1: quick, with this machine's programs)
	@image/inputs.sh
	@DEV=$(DEV) image/build.sh

vm: build ## boot the image in QEMU: firmware with Secure Boot, a software TPM; close with Ctrl-C (FRESH=1: forget its disk and TPM)
	@[ -e target/image/freehold.raw ] || $(MAKE) --no-print-directory image
	@target/debug/freehold-machine vm $(if $(FRESH),--fresh)

test-image: build image ## the image in virtual machines (QUICK=1: the cases that every change is tried with; CASE=name: one; JOBS=n machines at a time)
	@DEV=$(DEV) image/build.sh $$(target/debug/freehold-machine variants $(if $(QUICK),--quick) $(CASE))
	@tests/as-root.sh target/debug/freehold-machine test $(if $(QUICK),--quick) $(if $(JOBS),--jobs $(JOBS)) $(CASE)

image-check: image ## build every part of the image again and compare bit for bit
	@image/check.sh

relock: image-tool ## resolve the image's packages anew, on purpose, and show what changed
	@target/debug/freehold-image lock --set seed --set os --set toolbox --set rust --set engine-llama-cpu --set engine-llama-vulkan
	@git --no-pager diff --stat image/inputs.lock; git --no-pager diff --unified=0 image/inputs.lock | grep -oE '^[-+]\{"name":"[^"]+","version":"[^"]+"' || true

docs: ## the API documentation of the crates
	@cargo doc --locked --workspace --no-deps

clean: ## remove what was built
	@rm -rf target
