# Vendors the locked crates and sets how cargo builds. Sourced; leaves `programs` as cargo's package arguments.
mkdir -p /build/vendor
for crate in $crates; do
  name=${crate##*/}; name=${name#*-}; name=${name%.crate}
  tar -xzf "$crate" -C /build/vendor --no-same-owner
  printf '{"files":{},"package":"%s"}' "$(sha256sum "$crate" | cut -d' ' -f1)" > "/build/vendor/$name/.cargo-checksum.json"
done
# Cargo builds a crate again whose folder looks newer than what was built from it.
find /build/vendor -exec touch -hd @315532800 {} +
mkdir -p /build/cargo
cat > /build/cargo/config.toml <<'CONFIG'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/build/vendor"
[net]
offline = true
CONFIG
export CARGO_HOME=/build/cargo CARGO_TARGET_DIR=/build/target CARGO_INCREMENTAL=0 CARGO_BUILD_JOBS=${NIX_BUILD_CORES:-2}
[ "$CARGO_BUILD_JOBS" -gt 0 ] || export CARGO_BUILD_JOBS=2
# Paths of the build folder never reach a program; symbols go, tables for backtraces too.
export RUSTFLAGS="--remap-path-prefix=/build=/freehold -C strip=symbols -C linker=gcc -C link-arg=-Wl,--build-id=none"
export CFLAGS="-ffile-prefix-map=/build=/freehold -g0"
export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=2
export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
programs=()
for name in $wanted; do programs+=(-p "freehold-$name"); done
