# An engine's root: engine.erofs, engine.verity, roothash. What maintainer scripts would have made is not needed.
cp -dR --preserve=mode "$tree" /build/new; chmod -R u+w /build/new
mkdir -p /build/new/{proc,dev,tmp,run,sys,models,sockets,etc,var}
rm -rf /build/new/usr/share/{doc-base,bash-completion,lintian}
seed=$(printf 'freehold engine %s' "$name" | sha256sum | cut -d' ' -f1)
uuid() { printf '%s-%s-%s-%s-%s' "${1:0:8}" "${1:8:4}" "${1:12:4}" "${1:16:4}" "${1:20:12}"; }
mkdir -p "$out"
mkfs.erofs -zlz4hc,12 -C65536 -Efragments,dedupe,ztailpacking -T"$SOURCE_DATE_EPOCH" --all-root -U "$(uuid "$seed")" --quiet "$out/engine.erofs" /build/new
truncate -s %4096 "$out/engine.erofs"
veritysetup format --salt="$seed" --uuid="$(uuid "${seed:32}")" --root-hash-file="$out/roothash" "$out/engine.erofs" "$out/engine.verity" > /dev/null
