#!/usr/bin/env bash
# The image's tests in a virtual machine, each named by what happens. Each has a machine of its own.
# usage: run.sh [CASE…]; without a case, all. QUICK=1: only those that take one boot.
set -u
cd "$(dirname "$0")/../.."
[ -e target/image/freehold.raw ] || { echo "error: there is no image" >&2; echo "hint: make image" >&2; exit 2; }
toolbox=$(readlink -f target/image/unsigned/toolbox)
image=target/image/freehold.raw
limit=${FREEHOLD_VM_LIMIT:-300}
out=target/image-tests; mkdir -p "$out"

inside() { # a program of the toolbox, with $out as /out
  bwrap --unshare-all --die-with-parent --ro-bind "$toolbox/usr" /usr --ro-bind "$toolbox/etc" /etc --symlink usr/bin /bin --symlink usr/sbin /sbin \
    --symlink usr/lib /lib --symlink usr/lib64 /lib64 --ro-bind /nix/store /nix/store --bind "$PWD/$out" /out --tmpfs /tmp --proc /proc --dev /dev \
    --setenv PATH /usr/bin:/usr/sbin --setenv MTOOLS_SKIP_CHECK 1 "$@"
}
copy_of() { rm -f "$out/$1.raw"; cp --sparse=always --reflink=auto "$image" "$out/$1.raw"; }
start_of() { # start_of DISK NAME: the first sector of a partition, from the table (UEFI 2.10, 5.3)
  inside python3 -c 'import struct, sys
disk = open(sys.argv[1], "rb"); disk.seek(1024)
for _ in range(128):
    entry = disk.read(128)
    if entry[56:].decode("utf-16-le").rstrip("\0") == sys.argv[2]:
        print(struct.unpack("<Q", entry[32:40])[0])' "/out/$1.raw" "$2"
}
flip() { # flip FILE OFFSET: one bit
  local byte; byte=$(dd if="$1" bs=1 skip="$2" count=1 status=none | od -An -tu1 | tr -d ' ')
  printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

machine=0; log=
begin() { # begin NAME OPTION…: starts the machine of the case in the background
  local name=$1; shift
  export FREEHOLD_VM=$out/vm-$name; log=$FREEHOLD_VM/serial.log
  rm -f "$log"
  tests/image/vm.sh --for "$limit" "$@" > "$out/$name.log" 2>&1 &
  machine=$!
}
until_said() { # until_said PATTERN [UNWANTED]: 0 when the serial line says it; 1 when it says the unwanted, or the machine ends
  while :; do
    grep -aqE "$1" "$log" 2>/dev/null && return 0
    [ -z "${2:-}" ] || ! grep -aqE "$2" "$log" 2>/dev/null || return 1
    kill -0 "$machine" 2>/dev/null || { grep -aqE "$1" "$log" 2>/dev/null; return; }
    sleep 0.5
  done
}
end() { # stops the machine and waits for it
  local child
  for child in $(pgrep -P "$machine" 2>/dev/null); do pkill -TERM -P "$child" 2>/dev/null; kill "$child" 2>/dev/null; done
  kill "$machine" 2>/dev/null; wait "$machine" 2>/dev/null
  machine=0
}

# The box reaches its last target with a verified root, Secure Boot on, and the volume made and mounted.
boots_and_seals() {
  begin boots --fresh --answer
  until_said 'Reached target .*multi-user' 'Start again: this boot failed|Kernel panic' && grep -aq 'UEFI Secure Boot is enabled' "$log" \
    && grep -aq 'the volume is made' "$log" || { end; return 1; }
  end
}
# The same machine again: the volume opens by the TPM alone, nobody is asked.
opens_again_without_a_person() {
  [ -d "$out/vm-boots" ] || boots_and_seals || return 1
  begin boots
  until_said 'Reached target .*multi-user' 'Type block|Recovery key|stays closed|Kernel panic' && grep -aq 'var-lib.mount\|The sealed volume' "$log"
  local rc=$?; end; return $rc
}
# The disk alone, in a machine with another TPM: closed.
seals_the_disk_to_this_machine() {
  [ -d "$out/vm-boots" ] || boots_and_seals || return 1
  rm -rf "$out/vm-moved"; mkdir -p "$out/vm-moved"; cp --sparse=always "$out/vm-boots/disk.raw" "$out/vm-moved/disk.raw"
  begin moved
  until_said 'seal.other_tpm|recovery key' 'The sealed volume'
  local rc=$?; end; rm -f "$out/vm-moved/disk.raw"; return $rc
}
# The firmware does not start a kernel image without our signature.
refuses_an_unsigned_uki() {
  copy_of unsigned
  local start version; start=$(start_of unsigned freehold-esp); version=$(cat target/image/unsigned/version)
  cp -L target/image/unsigned/unsigned.efi "$out/unsigned.efi"; chmod u+w "$out/unsigned.efi"
  inside mcopy -o -i "/out/unsigned.raw@@$((start * 512))" /out/unsigned.efi "::/EFI/Linux/freehold-$version.efi" || return 1
  begin unsigned --fresh --disk "$out/unsigned.raw"
  until_said 'Access [Dd]enied|Security [Vv]iolation|Error loading' 'EFI stub|systemd\[1\]|Linux version'
  local rc=$?; end; rm -f "$out/unsigned.raw" "$out/unsigned.efi"; return $rc
}
# The same for a changed byte of the signed one's command line.
refuses_a_changed_command_line() {
  copy_of cmdline
  local at; at=$(LC_ALL=C grep -aobF 'systemd.import_credentials=no' "$out/cmdline.raw" | head -n 1 | cut -d: -f1)
  [ -n "$at" ] || return 1
  flip "$out/cmdline.raw" "$at"
  begin cmdline --fresh --disk "$out/cmdline.raw"
  until_said 'Access [Dd]enied|Security [Vv]iolation|Error loading' 'EFI stub|systemd\[1\]|Linux version'
  local rc=$?; end; rm -f "$out/cmdline.raw"; return $rc
}
# One changed bit of the root: the block is never read as if it were good; the machine stops and starts again.
refuses_a_changed_root() {
  copy_of root
  local start; start=$(start_of root "freehold-$(cat target/image/unsigned/version)")
  flip "$out/root.raw" $((start * 512 + 1100))
  begin root --fresh --disk "$out/root.raw"
  until_said 'verity.*corrupted|dm-verity device corrupted|Kernel panic' 'Reached target .*multi-user'
  local rc=$?; end; rm -f "$out/root.raw"; return $rc
}
# A box without settings, with a network card: not one frame.
sends_nothing() {
  local pcap=$PWD/$out/frames.pcap; rm -f "$pcap"
  FREEHOLD_VM_DUMP=$pcap begin silent --fresh --answer --net
  until_said 'Reached target .*multi-user' 'Start again: this boot failed|Kernel panic' || { end; return 1; }
  local n; for n in $(seq 40); do kill -0 "$machine" 2>/dev/null || break; sleep 0.5; done
  end
  # A pcap file without a frame is its header of 24 bytes.
  [ "$(stat -c %s "$pcap")" = 24 ] || { echo "   $(($(stat -c %s "$pcap") - 24)) bytes of frames"; return 1; }
}

all=(boots_and_seals opens_again_without_a_person seals_the_disk_to_this_machine refuses_an_unsigned_uki refuses_a_changed_command_line
  refuses_a_changed_root sends_nothing)
[ "${QUICK:-}" != 1 ] || all=(boots_and_seals opens_again_without_a_person refuses_a_changed_root)
[ $# -eq 0 ] || all=("${@//-/_}")
passed=0; failed=0
for case in "${all[@]}"; do
  began=$(date +%s)
  if "$case"; then passed=$((passed + 1)); mark=✓; else failed=$((failed + 1)); mark=✗; fi
  printf '  %s %s  %s s\n' "$mark" "${case//_/-}" "$(($(date +%s) - began))"
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
