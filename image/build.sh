#!/usr/bin/env bash
# Builds the image in Nix's sandbox, without a network, and signs it outside. Everything it needs is in the store (image/inputs.sh).
set -eu
cd "$(dirname "$0")/.."
tool=${FREEHOLD_IMAGE_TOOL:-target/debug/freehold-image}
keys=${FREEHOLD_IMAGE_KEYS:-$HOME/.local/state/freehold/image-keys}
mkdir -p target/image; (umask 077; mkdir -p "$keys")
tests/step.sh "Building the image (nix build --offline)" nix build --offline --print-build-logs --out-link target/image/unsigned .#image
"$tool" sign --unsigned target/image/unsigned --keys "$keys" --to target/image
printf '  root %s MB, kernel image %s MB, root hash %s\n' \
  "$(($(stat -Lc %s target/image/unsigned/root.erofs) / 1000000))" \
  "$(($(stat -Lc %s target/image/unsigned/unsigned.efi) / 1000000))" "$(cut -c1-16 target/image/unsigned/roothash)…"
