#!/bin/sh
# Makes the Python environment of the independent judges at target/judges, once. Quick when it is there.
# Tests that find no such environment say that they skip; nothing else needs it.
set -eu
cd "$(dirname "$0")/.."
folder=target/judges
wanted=$(sha256sum tests/judges.txt | cut -d' ' -f1)
if [ "$(cat "$folder/made-from" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
python3 -m venv --clear "$folder"
"$folder/bin/pip" --quiet --disable-pip-version-check install --requirement tests/judges.txt
printf '%s\n' "$wanted" >"$folder/made-from"
