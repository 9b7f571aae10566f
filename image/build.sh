#!/usr/bin/env bash
# Builds the image in Nix's sandbox, without a network, and signs it outside. Everything it needs is in the store (image/inputs.sh).
# usage: build.sh [VARIANT…]   more images, for tests of updates: next, next-panic, next-supervisor, next-engine; each in target/image/VARIANT
# DEV=1: the programs are this machine's own cargo build instead of Nix's: a developer's image, in minutes less. Its version ends with
#        -dev, and only development keys sign it. Debian 12 builds run on the image's libc. FREEHOLD_TARGETS=--all-targets where the
#        tests were built already.
set -eu
cd "$(dirname "$0")/.."
tool=${FREEHOLD_IMAGE_TOOL:-target/debug/freehold-image}
keys=${FREEHOLD_IMAGE_KEYS:-$HOME/.local/state/freehold/image-keys}
mkdir -p target/image; (umask 077; mkdir -p "$keys")
pure=()
if [ "${DEV:-}" = 1 ]; then
  programs=$(cat image/programs.txt)
  # As `make build` does: another choice of packages would pick other features and build most dependencies again.
  tests/step.sh "Building the programs of a box" cargo build --locked --workspace "${FREEHOLD_TARGETS:---bins}"
  rm -rf target/image/programs; mkdir -p target/image/programs/bin
  for name in $programs; do strip -o "target/image/programs/bin/freehold-$name" "target/debug/freehold-$name"; done
  export FREEHOLD_IMAGE_PROGRAMS=$PWD/target/image/programs
  pure=(--impure)
fi
one() { # one OUTPUT TO: builds an output of the flake and signs it
  tests/step.sh "Building $1 (nix build --offline)" nix build --offline "${pure[@]}" --print-build-logs --out-link "$2/unsigned" ".#$1"
  "$tool" sign --unsigned "$2/unsigned" --keys "$keys" --to "$2"
}
one image target/image
for variant in "$@"; do mkdir -p "target/image/$variant"; one "image-$variant" "target/image/$variant"; done
printf '  root %s MB, kernel image %s MB, root hash %s\n' \
  "$(($(stat -Lc %s target/image/unsigned/root.erofs) / 1000000))" \
  "$(($(stat -Lc %s target/image/unsigned/unsigned.efi) / 1000000))" "$(cut -c1-16 target/image/unsigned/roothash)…"
