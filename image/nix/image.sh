# One folder with all that signing and writing a disk need. `toolbox` is a link, so that the store keeps it.
mkdir -p "$out/disk"
for file in root.erofs root.verity roothash; do ln -s "$root/$file" "$out/$file"; done
for file in parts unsigned.efi; do ln -s "$uki/$file" "$out/$file"; done
ln -s "$toolbox" "$out/toolbox"
cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi "$out/loader.efi"
cp /usr/lib/systemd/boot/efi/linuxx64.efi.stub "$out/stub.efi"
hash=$(cat "$root/roothash")
uuid() { printf '%s-%s-%s-%s-%s' "${1:0:8}" "${1:8:4}" "${1:12:4}" "${1:16:4}" "${1:20:12}"; }
for file in "$disk"/*.conf; do
  sed "s/@version@/$version/g; s/@root-uuid@/$(uuid "$hash")/; s/@verity-uuid@/$(uuid "${hash:32}")/" "$file" > "$out/disk/$(basename "$file")"
done
printf '%s\n' "$version" > "$out/version"
# Where our programs come from: `locked`, or `outside` for a developer's.
printf '%s\n' "$programs" > "$out/programs"
# What rebuilds must agree on.
( cd "$out"; sha256sum root.erofs root.verity unsigned.efi loader.efi parts/* ) > "$out/digests"
