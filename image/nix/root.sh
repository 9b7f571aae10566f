# The root as erofs, and the hash tree over it. Same tree, same bytes: no dates, no owners, seeds from the version.
cp -dR --preserve=mode "$os" /build/new
find /build/new -type d -exec chmod 755 {} +
find /build/new -type f -exec chmod u+w {} +
chmod 600 /build/new/etc/shadow; [ ! -e /build/new/etc/gshadow ] || chmod 600 /build/new/etc/gshadow
chmod 700 /build/new/root
seed=$(printf 'freehold root %s' "$version" | sha256sum | cut -d' ' -f1)
uuid() { printf '%s-%s-%s-%s-%s' "${1:0:8}" "${1:8:4}" "${1:12:4}" "${1:16:4}" "${1:20:12}"; }
mkdir -p "$out"
mkfs.erofs -zlz4hc,12 -C65536 -Efragments,dedupe,ztailpacking -T"$SOURCE_DATE_EPOCH" --all-root -U "$(uuid "$seed")" --quiet "$out/root.erofs" /build/new
# Verity counts in blocks of 4096 bytes.
truncate -s %4096 "$out/root.erofs"
veritysetup format --salt="$seed" --uuid="$(uuid "${seed:32}")" --root-hash-file="$out/roothash" "$out/root.erofs" "$out/root.verity" > /dev/null
