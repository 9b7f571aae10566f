# The parts of the kernel image, each a file as `ukify` takes it, and the whole without signature or PCR policy.
mkdir -p "$out/parts" /build/early/kernel/x86/microcode
cp "$tree"/boot/vmlinuz-* "$out/parts/linux"
cp "$initrd/initrd" "$out/parts/initrd"
cp "$os/usr/lib/os-release" "$out/parts/osrel"
basename "$tree"/usr/lib/modules/* > "$out/parts/uname"
printf %s "$(cat "$out/parts/uname")" > "$out/parts/uname.bare"
sed 's/#.*//' "$cmdline" | tr '\n' ' ' | sed "s/@roothash@/$(cat "$root/roothash")/; s/  */ /g; s/^ //; s/ $//" > "$out/parts/cmdline"
# Microcode as the kernel looks for it: an uncompressed archive before the initial RAM disk.
find "$tree/usr/lib/firmware/intel-ucode" -type f ! -name '*.initramfs' | sort | xargs cat > /build/early/kernel/x86/microcode/GenuineIntel.bin
find "$tree/usr/lib/firmware/amd-ucode" -name '*.bin' | sort | xargs cat > /build/early/kernel/x86/microcode/AuthenticAMD.bin
find /build/early -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
( cd /build/early; find . -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --reproducible --owner=0:0 --quiet ) > "$out/parts/ucode"
ukify build --linux="$out/parts/linux" --initrd="$out/parts/initrd" --microcode="$out/parts/ucode" \
  --cmdline=@"$out/parts/cmdline" --os-release=@"$out/parts/osrel" --uname="$(cat "$out/parts/uname")" --output="$out/unsigned.efi"
