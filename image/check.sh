#!/usr/bin/env bash
# Builds every part a second time, on one core, and compares bit for bit; then signs twice and compares that. What differs is named.
# With `parts` only those that take no compiler.
set -eu
cd "$(dirname "$0")/.."
parts=(os root initrd uki image engine-llama-cpu sbom)
[ "${1:-}" = parts ] || parts+=(freehold)
failed=0
for part in "${parts[@]}"; do
  nix build --offline --no-link ".#$part"
  if nix build --offline --no-link --rebuild --keep-failed --cores 1 ".#$part" > "target/image/check-$part.log" 2>&1; then
    echo "  ✓ $part: the same bits"
  else
    echo "  ✗ $part: differs, or did not build; the end of target/image/check-$part.log:"; tail -n 3 "target/image/check-$part.log" | sed 's/^/    /'
    failed=1
  fi
done
tool=${FREEHOLD_IMAGE_TOOL:-target/debug/freehold-image}
keys=${FREEHOLD_IMAGE_KEYS:-$HOME/.local/state/freehold/image-keys}
rm -rf target/image/again; mkdir -p target/image/again
"$tool" sign --unsigned target/image/unsigned --keys "$keys" --to target/image/again > /dev/null
for file in manifest.json work/measured.efi; do
  if cmp -s "target/image/$file" "target/image/again/$file"; then echo "  ✓ $file: the same bits"
  else echo "  ✗ $file differs"; failed=1; fi
done
rm -rf target/image/again
exit $failed
