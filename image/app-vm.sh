#!/usr/bin/env bash
# `nix run .#vm`, from a checkout: the same as `make vm`.
set -eu
[ -e flake.nix ] && [ -e Makefile ] || { echo "error: this is no checkout of Freehold" >&2; exit 2; }
exec make --no-print-directory vm
