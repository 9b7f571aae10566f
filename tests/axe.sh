#!/bin/sh
# Fetches axe-core, the judge of the pages' accessibility, to target/axe, once. Quick when it is there.
# It is a tool of the tests: nothing of it is committed or shipped. Tests that find none say that they skip.
set -eu
cd "$(dirname "$0")/.."
version=4.14.1
sha512=FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
folder=target/axe
if [ "$(cat "$folder/made-from" 2>/dev/null || true)" = "$version $sha512" ]; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "no npm here: pages are not judged by axe-core"
    exit 0
fi
rm -rf "$folder"
mkdir -p "$folder"
npm pack --silent --pack-destination "$folder" "axe-core@$version" >/dev/null
archive=$folder/axe-core-$version.tgz
found=$(openssl dgst -sha512 -binary "$archive" | base64 -w0)
if [ "$found" != "$sha512" ]; then
    echo "error: axe-core $version is not the one that is pinned" >&2
    exit 1
fi
tar -xzf "$archive" -C "$folder" --strip-components=1 package/axe.min.js package/LICENSE
rm "$archive"
printf '%s\n' "$version $sha512" >"$folder/made-from"
