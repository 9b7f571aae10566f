# Compares every executable of the system with the golden list, and refuses kinds that must never be there.
( cd "$os" && find . -type f -perm -100 ! -name '*.so*' ! -path '*/modules/*' | sed 's#^\./##' | LC_ALL=C sort ) > found
sed 's/#.*//; s/ *$//; /^$/d' "$golden" | LC_ALL=C sort > wanted
diff wanted found >&2 || { echo "the executables are not those of the golden list" >&2; exit 1; }
if grep -E '/(bash|dash|sh|busybox|perl.*|python.*|gawk|mawk|sshd?|apt.*|dpkg.*|gcc|su|sudo|login|agetty)$' found >&2; then
  echo "a shell, an interpreter, a package manager, a compiler or a login" >&2; exit 1
fi
[ -z "$(find "$os" -perm /6000)" ] || { echo "a setuid file" >&2; exit 1; }
mkdir -p "$out"
