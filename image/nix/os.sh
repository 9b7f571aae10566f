# The system's tree: what the keep list names, our programs, our settings, and what maintainer scripts would have made.
source "$cut"
root=/build/new
mkdir -p $root
keep "$tree" "$keep_list" $root
mkdir -p $root/{proc,sys,dev,run,tmp,var,boot,efi,root} $root/usr/{bin,sbin,lib,lib64} $root/etc
for d in bin sbin lib lib64; do ln -s usr/$d $root/$d; done
ln -s ../lib/systemd/systemd $root/usr/sbin/init
cp "$freehold"/bin/* $root/usr/bin/
chmod 755 $root/usr/bin/freehold-*
libraries "$tree" $root

cp -dR --preserve=mode "$overlay"/. $root/; chmod -R u+w $root
# What the appliance brings: the folders of systemd by their own names, and the packet filter's rules.
if [ -n "$appliance" ]; then
  for name in system system.conf.d journald.conf.d network; do
    [ ! -d "$appliance/$name" ] || { mkdir -p $root/usr/lib/systemd/$name; cp -R "$appliance/$name"/. $root/usr/lib/systemd/$name/; }
  done
  for name in sysusers.d tmpfiles.d sysctl.d modules-load.d udev; do
    [ ! -d "$appliance/$name" ] || { mkdir -p $root/usr/lib/$name; cp -R "$appliance/$name"/. $root/usr/lib/$name/; }
  done
  for name in nftables dbus-1; do
    [ ! -d "$appliance/$name" ] || { mkdir -p $root/usr/lib/freehold/$name; cp -R "$appliance/$name"/. $root/usr/lib/freehold/$name/; }
  done
  chmod -R u+w $root
fi
# The engine of the box, with its hash tree beside it: RootImage= finds both by name.
mkdir -p $root/usr/lib/freehold/engines
cp "$engine/engine.erofs" $root/usr/lib/freehold/engines/llama-cpu.raw
cp "$engine/engine.verity" $root/usr/lib/freehold/engines/llama-cpu.verity
cp "$engine/roothash" $root/usr/lib/freehold/engines/llama-cpu.roothash
# What the engine has to start after an update before the image may stay: a small model of this project's own.
mkdir -p $root/usr/lib/freehold/self-test/files
cp "$self_test" $root/usr/lib/freehold/self-test/files/self-test.gguf
chmod -R u+w $root
sed -i "s/@version@/$version/g" $root/usr/lib/os-release
ln -sf ../usr/lib/os-release $root/etc/os-release
ln -s ../proc/self/mounts $root/etc/mtab
: > $root/etc/machine-id
: > $root/usr/lib/clock-epoch
kernel=$(ls $root/usr/lib/modules)

# What maintainer scripts would have done, done here.
systemd-sysusers --root=$root
chmod 600 $root/etc/shadow $root/etc/gshadow 2>/dev/null || true
rm -f $root/etc/*- $root/etc/.pwd.lock
depmod -b $root "$kernel"
rm -f $root/usr/lib/modules/*/modules.{devname,symbols,alias,dep}
ldconfig -r $root -X 2>/dev/null || true
ldconfig -r $root; rm -rf $root/var/cache

# Each unit that starts, by the target that wants it.
units=$root/usr/lib/systemd/system
ln -sf multi-user.target $units/default.target
want() {
  local file=$1
  case $1 in *@*.*) file=${1%%@*}@.${1##*.} ;; esac
  [ -e "$units/$file" ] || { echo "there is no unit $file" >&2; exit 1; }
  mkdir -p "$units/$2.wants"; ln -sf "../$file" "$units/$2.wants/$1"
}
sed 's/#.*//; /^ *$/d' $root/usr/lib/freehold/enabled > /build/enabled; rm $root/usr/lib/freehold/enabled
while read -r unit target; do want "$unit" "$target"; done < /build/enabled
# The appliance's units say themselves who wants them.
for unit in $units/freehold-*; do
  case $unit in *@.*)
    # One of each on the screen and on the serial line.
    for target in $(sed -n 's/^WantedBy=//p' "$unit"); do
      for terminal in tty1 ttyS0; do want "$(basename "${unit/@./@$terminal.}")" "$target"; done
    done
    continue ;;
  esac
  for target in $(sed -n 's/^WantedBy=//p' "$unit"); do want "$(basename "$unit")" "$target"; done
  for target in $(sed -n 's/^RequiredBy=//p' "$unit"); do
    mkdir -p "$units/$target.requires"; ln -sf "../$(basename "$unit")" "$units/$target.requires/$(basename "$unit")"
  done
done
# What wants a unit that is left out wants nothing.
find $units -xtype l -delete
find $root -type d -empty -path '*.wants' -delete
# For tests of updates: a version that is whole and signed, and does not work.
case "$spoil" in
  "") ;;
  # The first process of the root ends at once, and the kernel panics.
  panic) cp $root/usr/bin/kmod $root/usr/lib/systemd/systemd ;;
  # A supervisor that ends as soon as it starts: another program under its name, which does not know its words.
  supervisor) cp $root/usr/bin/freehold-screen $root/usr/bin/freehold-supervisor ;;
  # An engine whose blocks do not fit their hashes.
  engine) dd if=/dev/zero of=$root/usr/lib/freehold/engines/llama-cpu.verity bs=4096 seek=1 count=8 conv=notrunc status=none ;;
  *) echo "there is no way to spoil called $spoil" >&2; exit 1 ;;
esac
mkdir -p $out
cp -dR --preserve=mode $root/. $out/
