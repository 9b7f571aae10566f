# The system's tree: what the keep list names, our programs, our settings, and what maintainer scripts would have made.
source "$cut"
root=/build/new
mkdir -p $root
keep "$tree" "$keep_list" $root
mkdir -p $root/{proc,sys,dev,run,tmp,var,boot,efi,root,mnt,models,sockets} $root/usr/{bin,sbin,lib,lib64} $root/etc
for d in bin sbin lib lib64; do ln -s usr/$d $root/$d; done
ln -s ../lib/systemd/systemd $root/usr/sbin/init
mkdir -p $root/usr/lib/freehold
cp "$freehold"/bin/* $root/usr/lib/freehold/
chmod 755 $root/usr/lib/freehold/*
libraries "$tree" $root

cp -dR --preserve=mode "$overlay"/. $root/; chmod -R u+w $root
# The appliance's own units win over ours of the same name.
if [ -n "$appliance" ]; then
  for file in "$appliance"/*.service "$appliance"/*.socket "$appliance"/*.target "$appliance"/*.mount "$appliance"/*.path "$appliance"/*.timer "$appliance"/*.slice; do
    [ ! -e "$file" ] || cp "$file" $root/usr/lib/systemd/system/
  done
  for file in "$appliance"/*sysusers*; do [ ! -f "$file" ] || cp "$file" $root/usr/lib/sysusers.d/freehold.conf; done
  for file in "$appliance"/*tmpfiles*; do [ ! -f "$file" ] || cp "$file" $root/usr/lib/tmpfiles.d/freehold.conf; done
  [ ! -e "$appliance/nftables.conf" ] || cp "$appliance/nftables.conf" $root/etc/nftables.conf
  [ ! -d "$appliance/root" ] || cp -dR --preserve=mode "$appliance/root"/. $root/
  chmod -R u+w $root
fi
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
while read -r unit target; do
  case $unit in ''|'#'*) continue ;; esac
  if [ ! -e "$units/${unit/@*./@.}" ]; then echo "not enabled, there is no $unit"; continue; fi
  mkdir -p "$units/$target.wants"
  ln -sf "../${unit/@*./@.}" "$units/$target.wants/$unit"
done < $root/usr/lib/freehold/enabled; rm $root/usr/lib/freehold/enabled
# What wants a unit that is left out wants nothing.
find $units -xtype l -delete
find $root -type d -empty -path '*.wants' -delete
mkdir -p $out
cp -dR --preserve=mode $root/. $out/
