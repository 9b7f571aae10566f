# Enters the unpacked packages in $box and runs $script there with bash. Root inside, nobody outside; no network.
set -eu
for d in nix proc dev build tmp etc; do $bb mkdir -p root/$d; done
for d in usr bin sbin lib lib64; do $bb ln -s $box/$d root/$d; done
echo root:x:0:0:root:/build:/bin/sh > root/etc/passwd
echo root:x:0: > root/etc/group
export script
exec $bb unshare -Urm --propagation private $bb sh -ec "
$bb mount --rbind /nix root/nix
$bb mount --rbind /proc root/proc
$bb mount --rbind /dev root/dev
$bb mount --rbind /build root/build
exec $bb chroot root /usr/bin/env PATH=/usr/bin:/usr/sbin:/usr/lib/systemd HOME=/build TMPDIR=/build LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=$epoch \
  /usr/bin/bash -euo pipefail -c 'cd /build; source $script'"
