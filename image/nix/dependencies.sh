# Builds everything that is not ours, by building empty programs with our manifests.
source "$prepare"
cp -r "$manifests" work; chmod -R u+w work; cd work
for manifest in $(find . -mindepth 2 -name Cargo.toml); do
  folder=${manifest%/Cargo.toml}
  mkdir -p "$folder/src"
  : > "$folder/src/lib.rs"
  echo 'fn main() {}' > "$folder/src/main.rs"
  # Targets that a manifest names by path.
  sed -n 's/^path = "\(.*\.rs\)"$/\1/p' "$manifest" | while read -r path; do
    mkdir -p "$folder/$(dirname "$path")"
    [ -e "$folder/$path" ] || echo 'fn main() {}' > "$folder/$path"
  done
done
cargo auditable build --release --frozen "${programs[@]}" --bins
cd /build
# Ours were empty: their artefacts go, so that the next derivation builds them.
find target/release -maxdepth 3 \( -name '*freehold*' \) -prune -exec rm -rf {} +
mkdir -p "$out"
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - target | gzip -1n > "$out/target.tar.gz"
