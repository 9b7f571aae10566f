#!/usr/bin/env bash
# Cargo tools that only the tests need; built once per machine, unoptimised because they are built more often than run.
set -eu
cd "$(dirname "$0")/.."
command -v cargo-nextest >/dev/null || tests/step.sh "Building cargo-nextest" env CARGO_TARGET_DIR=target/tools cargo install --locked --debug cargo-nextest
command -v cargo-deny >/dev/null || tests/step.sh "Building cargo-deny" env CARGO_TARGET_DIR=target/tools cargo install --locked --debug cargo-deny
