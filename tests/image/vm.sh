#!/usr/bin/env bash
# Boots the built image in QEMU: firmware with Secure Boot and SMM, a software TPM, no network unless told.
# usage: vm.sh [--for SECONDS] [--fresh] [--disk FILE] [--net] [--stick FILE]
#   --for    power off after so many seconds (default: until it is closed)
#   --fresh  forget the machine's disk and TPM first
#   --disk   another signed disk than target/image/freehold.raw
#   --net    one network card on a host-only network of QEMU's own, which reaches nothing
#   --answer type the block of the recovery key that a first boot asks for, as a person would
#   --stick  a raw image shown as a USB stick
# State of the machine lies in ${FREEHOLD_VM:-target/vm}; the serial line is the terminal and serial.log.
set -eu
cd "$(dirname "$0")/../.."
disk=target/image/freehold.raw; seconds=; net=; stick=; fresh=; answer=
while [ $# -gt 0 ]; do
  case $1 in
    --for) seconds=$2; shift ;;
    --fresh) fresh=1 ;;
    --disk) disk=$2; shift ;;
    --net) net=1 ;;
    --answer) answer=1 ;;
    --stick) stick=$2; shift ;;
    *) echo "error: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
[ -e "$disk" ] || { echo "error: there is no $disk" >&2; echo "hint: make image" >&2; exit 2; }
vm=${FREEHOLD_VM:-target/vm}
keys=${FREEHOLD_IMAGE_KEYS:-$HOME/.local/state/freehold/image-keys}
[ -z "$fresh" ] || rm -rf "$vm"
mkdir -p "$vm/tpm"
vm=$(cd "$vm" && pwd); disk=$(cd "$(dirname "$disk")" && pwd)/$(basename "$disk")
toolbox=$(readlink -f target/image/unsigned/toolbox)

# Firmware's variables with our keys in them: Secure Boot is on from the first start.
if [ ! -e "$vm/vars.fd" ]; then
  owner=6b6f9b1e-8a3c-4f43-9c2f-0e5b6ff6d8ff
  bwrap --unshare-all --die-with-parent --ro-bind "$toolbox/usr" /usr --ro-bind "$toolbox/etc" /etc --symlink usr/bin /bin \
    --symlink usr/lib /lib --symlink usr/lib64 /lib64 --ro-bind /usr/share/OVMF /ovmf --ro-bind "$keys" /keys --bind "$vm" /vm \
    --tmpfs /tmp --proc /proc --dev /dev \
    virt-fw-vars -i /ovmf/OVMF_VARS_4M.fd -o /vm/vars.fd --secure-boot --set-pk $owner /keys/PK.pem \
    --add-kek $owner /keys/KEK.pem --add-db $owner /keys/db.pem > "$vm/vars.log" 2>&1
fi
[ -e "$vm/disk.raw" ] || cp --sparse=always --reflink=auto "$disk" "$vm/disk.raw"
if [ ! -e "$vm/tpm/tpm2-00.permall" ]; then
  swtpm_setup --tpm2 --tpmstate "$vm/tpm" --create-ek-cert --create-platform-cert --pcr-banks sha256 --overwrite > "$vm/tpm.log" 2>&1
fi
rm -f "$vm/tpm.sock"
swtpm socket --tpm2 --tpmstate "dir=$vm/tpm" --ctrl "type=unixio,path=$vm/tpm.sock" --terminate > "$vm/swtpm.log" 2>&1 &
tpm=$!
trap 'kill $tpm 2>/dev/null || true' EXIT

# One processor: with several, QEMU 7.2 without hardware virtualisation now and then runs half of a patched instruction.
# Hardware virtualisation only where somebody has found that it works here: a broken one dies in the firmware.
if [ "${FREEHOLD_KVM:-}" = 1 ]; then accel=(-accel kvm -cpu host); else accel=(-accel tcg,thread=single -cpu Nehalem); fi
arguments=(
  -machine "q35,smm=on" "${accel[@]}" -smp "${FREEHOLD_VM_CPUS:-1}" -m "${FREEHOLD_VM_MEMORY:-1536}" -nodefaults -no-reboot
  -global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1
  -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd
  -drive if=pflash,format=raw,unit=1,file="$vm/vars.fd"
  -chardev "socket,id=tpm,path=$vm/tpm.sock" -tpmdev emulator,id=tpm,chardev=tpm -device tpm-crb,tpmdev=tpm
  -drive "if=none,id=disk,format=raw,file=$vm/disk.raw" -device virtio-blk-pci,drive=disk,bootindex=0
  -device virtio-rng-pci -display none
  -chardev "stdio,id=serial,signal=off,logfile=$vm/serial.log" -serial chardev:serial
  -monitor "unix:$vm/monitor.sock,server=on,wait=off"
)
[ -z "$net" ] || arguments+=(-netdev "${FREEHOLD_VM_NET:-user,id=net,restrict=on}" -device virtio-net-pci,netdev=net)
[ -z "${FREEHOLD_VM_DUMP:-}" ] || arguments+=(-object "filter-dump,id=dump,netdev=net,file=$FREEHOLD_VM_DUMP")
[ -z "$stick" ] || arguments+=(-device qemu-xhci -drive "if=none,id=stick,format=raw,readonly=on,file=$stick" -device usb-storage,drive=stick)
# Reads the serial line as a person reads the screen, and types one block of the recovery key that it shows.
person() {
  local key number
  until grep -aq 'Type block [1-8] to go on:' "$vm/serial.log" 2>/dev/null; do
    kill -0 $$ 2>/dev/null || return 0
    sleep 0.3
  done
  key=$(tr -d '\r' < "$vm/serial.log" | grep -aoE '[a-z]{6}(-[a-z]{6}){7}' | tail -n 1)
  number=$(grep -aoE 'Type block [1-8]' "$vm/serial.log" | tail -n 1 | grep -oE '[1-8]')
  printf '%s\n' "$(cut -d- -f"$number" <<< "$key")"
}
rm -f "$vm/serial.log"
run=(qemu-system-x86_64 "${arguments[@]}")
[ -z "$seconds" ] || run=(timeout "$seconds" "${run[@]}")
if [ -n "$answer" ]; then
  { person; exec sleep "${seconds:-86400}"; } | "${run[@]}" || [ $? = 124 ]
elif [ -n "$seconds" ]; then
  "${run[@]}" < /dev/null || [ $? = 124 ]
else
  "${run[@]}"
fi
