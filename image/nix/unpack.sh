# Unpacks packages into $out: files only, no maintainer script. Run by the seed, with nothing else there.
set -eu
$bb mkdir -p $out/usr/bin $out/usr/sbin $out/usr/lib $out/usr/lib64
for d in bin sbin lib lib64; do $bb ln -s usr/$d $out/$d; done
for d in $debs; do
  case $($bb ar t $d | $bb grep '^data.tar') in
    *.xz) $bb ar p $d data.tar.xz | $bb unxz ;;
    *.gz) $bb ar p $d data.tar.gz | $bb gunzip ;;
    *) echo "unknown compression in $d" >&2; exit 1 ;;
  esac > data.tar
  $bb tar -xf data.tar -C $out 2> said || { $bb cat said >&2; echo "cannot unpack $d" >&2; exit 1; }
done
for d in man locale info lintian bug; do $bb rm -rf $out/usr/share/$d; done
# Links that maintainer scripts would make.
[ ! -e $out/usr/bin/gcc ] || $bb ln -s gcc $out/usr/bin/cc
[ ! -e $out/usr/bin/gawk ] || [ -e $out/usr/bin/awk ] || $bb ln -s gawk $out/usr/bin/awk
