#!/usr/bin/env bash
# Runs one step of a set-up quietly: its title, a running clock with the time that it took last time, its output only when it fails.
# usage: step.sh TITLE COMMAND…
set -u
title=$1; shift
mkdir -p target/steps
key=$(printf '%s' "$title" | tr -c 'A-Za-z0-9' '-')
log=target/steps/$key.log
last=$(cat "target/steps/$key.seconds" 2>/dev/null || true)
start=$(date +%s)
"$@" >"$log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null' INT TERM
if [ -t 1 ]; then
  while kill -0 $pid 2>/dev/null; do
    now=$(( $(date +%s) - start ))
    if [ -n "$last" ] && [ "$last" -gt "$now" ]; then left="about $((last - now)) s left"; else left="$(tail -n 1 "$log" | cut -c1-60)"; fi
    printf '\r\033[K  %s … %s s  %s' "$title" "$now" "$left"
    command sleep 1
  done
  printf '\r\033[K'
fi
wait $pid; rc=$?
took=$(( $(date +%s) - start ))
if [ $rc -eq 0 ]; then
  printf '%s\n' "$took" > "target/steps/$key.seconds"
  printf '  ✓ %s  %s s\n' "$title" "$took"
else
  printf '  ✗ %s  failed after %s s; the end of %s:\n' "$title" "$took" "$log"
  tail -n 60 "$log" | sed 's/^/    /'
fi
exit $rc
