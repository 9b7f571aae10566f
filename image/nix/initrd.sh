# The initial RAM disk: finds the disk, opens the verified root, switches to it.
source "$cut"
root=/build/new
mkdir -p $root
keep "$tree" "$keep_list" $root
mkdir -p $root/{proc,sys,dev,run,tmp,var,sysroot,root} $root/usr/{bin,sbin,lib,lib64} $root/etc
for d in bin sbin lib lib64; do ln -s usr/$d $root/$d; done
if [ -e "$freehold/bin/freehold-unseal" ]; then
  cp "$freehold/bin/freehold-unseal" $root/usr/bin/; chmod 755 $root/usr/bin/freehold-unseal
fi
libraries "$tree" $root
cp -dR --preserve=mode "$overlay"/. $root/; chmod -R u+w $root
[ -z "$appliance" ] || { cp -dR --preserve=mode "$appliance"/. $root/; chmod -R u+w $root; }
sed -i "s/@version@/$version/g" $root/usr/lib/os-release
ln -sf ../usr/lib/os-release $root/etc/os-release
ln -sf ../usr/lib/os-release $root/etc/initrd-release
: > $root/etc/machine-id
ln -s usr/lib/systemd/systemd $root/init
systemd-sysusers --root=$root
rm -f $root/etc/*- $root/etc/.pwd.lock
# Whole modules compress better together than each by itself.
find $root/usr/lib/modules -name '*.ko.xz' -exec xz -d {} +
depmod -b $root "$(ls $root/usr/lib/modules)"
rm -f $root/usr/lib/modules/*/modules.{devname,symbols,alias,dep}
ldconfig -r $root; rm -rf $root/var/cache
units=$root/usr/lib/systemd/system
ln -sf initrd.target $units/default.target
find $units -xtype l -delete
find $root -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
( cd $root; find . -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --reproducible --owner=0:0 --quiet ) | zstd -19 -T1 -q > "$out/initrd"
