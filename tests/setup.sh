#!/usr/bin/env bash
# Installs what this machine lacks for `make demo` and `make test`: Debian packages from one list, two cargo tools.
# Does nothing, quickly, where all is there. Judges from PyPI are made by tests/judges.sh, for the tests only.
set -eu
cd "$(dirname "$0")/.."
packages=$(sed 's/#.*//' image/packages/development.txt | xargs)
missing=()
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "  Debian packages to install: ${missing[*]}"
  sudo=""; [ "$(id -u)" = 0 ] || sudo="sudo"
  tests/step.sh "Reading the package lists" $sudo apt-get update -q
  tests/step.sh "Installing ${#missing[@]} Debian packages" $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
if ! command -v cargo >/dev/null; then
  echo "error: no Rust toolchain is installed" >&2
  echo "hint: install rustup, then a toolchain of at least the rust-version in Cargo.toml" >&2
  exit 2
fi
