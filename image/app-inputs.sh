#!/usr/bin/env bash
# `nix run .#inputs`, from a checkout: brings every locked input into the store, as `make image` does first.
set -eu
[ -e flake.nix ] && [ -e image/inputs.sh ] || { echo "error: this is no checkout of Freehold" >&2; exit 2; }
exec image/inputs.sh
