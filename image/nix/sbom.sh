# What the system and each engine are made of, as CycloneDX 1.6: each Debian package with its source, licence and digest, each crate that is in a
# program, each file by the component that it belongs to. A file that belongs to none ends the build.
mkdir -p "$out"
printf '%s\n' $debs > debs
python3 "$program" "$lock" "$cargo_lock" "$version" "$out" debs "$os"
