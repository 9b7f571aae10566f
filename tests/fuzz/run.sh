#!/usr/bin/env bash
# Mutates bytes into every parser of outside bytes: SECONDS_EACH seconds for each target (60), TARGET for one of them, SEED for
# other mutations, INPUTS for a count instead. Optimised, and with overflow checks: an addition that wraps is a fault here.
set -eu
cd "$(dirname "$0")/../.."
exec env CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_LTO=off \
  CARGO_TARGET_DIR=target/fuzz cargo run --quiet --locked --release -p freehold-fuzz
