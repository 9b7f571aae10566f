# Copies what a keep list names out of an unpacked tree, then the libraries that the kept programs need. Sourced.
# usage: keep TREE LIST TO; libraries TREE TO
keep() {
  local tree=$1 list=$2 to=$3 line path
  : > /build/kept
  shopt -s nullglob dotglob
  ( cd "$tree"
    while read -r line; do
      line=${line%%#*}; line=${line%"${line##*[![:space:]]}"}
      [ -n "$line" ] || continue
      case $line in
        !*) for path in ${line#!}; do printf '%s\n' "$path"; done >> /build/dropped ;;
        *) set -- $line
           # A name that fits nothing is a mistake in the list, or a package that changed.
           [ $# -gt 0 ] || { echo "keep list: nothing fits $line" >&2; exit 1; }
           for path; do find "$path" \( -type f -o -type l \) ; done >> /build/kept ;;
      esac
    done < "$list" )
  touch /build/dropped
  sort -u /build/kept > /build/kept.sorted
  # What is dropped: the path itself, or anything below it.
  awk 'FILENAME == ARGV[1] { drop[$0]; next } { p=$0; while (1) { if (p in drop) next; if (!match(p, /\/[^\/]*$/)) break; p=substr(p,1,RSTART-1) } print }' \
    /build/dropped /build/kept.sorted > /build/kept.final
  rm -f /build/dropped
  tar -C "$tree" --no-recursion -cf - -T /build/kept.final | tar -C "$to" --no-same-owner -xf -
  chmod -R u+w "$to"
}

# The names of the libraries that an ELF file asks for.
needed() { readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'; }

libraries() {
  local tree=$1 to=$2 file name found again=1
  mkdir -p "$to/usr/lib64"
  mkdir -p "$to/usr/lib/x86_64-linux-gnu"
  cp "$tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$to/usr/lib/x86_64-linux-gnu/"
  ln -sf ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$to/usr/lib64/"
  declare -A seen=()
  while [ "$again" = 1 ]; do
    again=0
    while read -r file; do
      [ -z "${seen[$file]:-}" ] || continue
      seen[$file]=1
      for name in $(needed "$file"); do
        [ ! -e "$to/usr/lib/x86_64-linux-gnu/$name" ] && [ ! -e "$to/usr/lib/x86_64-linux-gnu/systemd/$name" ] || continue
        [ "$name" != ld-linux-x86-64.so.2 ] || continue
        found=""
        for folder in usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu/systemd usr/lib64; do
          if [ -e "$tree/$folder/$name" ]; then found=$folder; break; fi
        done
        [ -n "$found" ] || { echo "no package has $name, which $file needs" >&2; exit 1; }
        mkdir -p "$to/$found"
        cp -L "$tree/$found/$name" "$to/$found/$name"; chmod 755 "$to/$found/$name"
        again=1
      done
    done < <(find "$to/usr" -type f \( -perm -100 -o -name '*.so*' \) ! -path '*/modules/*')
  done
  # Links to libraries that were kept by name.
  find "$to/usr/lib/x86_64-linux-gnu" -type l | while read -r file; do
    [ -e "$file" ] || cp -L "$tree/${file#"$to"/}" "$to/$(dirname "${file#"$to"/}")/$(readlink "$file")"
  done
}
