#!/usr/bin/env bash
# Everything that proves the product, in the order in which it is cheapest to fail. Prints a table of steps with their times,
# then `N passed, N failed, N skipped` alone on a line. Fails by itself above 80 minutes.
# With `image` after it builds the operating system, too, and runs the quick cases in virtual machines: `make test test-image QUICK=1`
# in one table. Without it no image is needed.
set -u
cd "$(dirname "$0")/.."
began=$(date +%s)
limit=$((80 * 60))
# Pool paths vanish from mirrors: what was fetched once is kept outside the build folder.
export FREEHOLD_PACKAGE_CACHE=${FREEHOLD_PACKAGE_CACHE:-$HOME/.cache/freehold/packages}
export CARGO_TERM_COLOR=never INSTA_UPDATE=no RUST_BACKTRACE=0
table=(); failed_steps=0; passed=0; failed=0; skipped=0
out=target/test-logs; mkdir -p "$out"

step() { # step NAME COMMAND…
  local name=$1; shift
  local start log rc left
  start=$(date +%s); log="$out/$(printf '%s' "$name" | tr -c 'a-z0-9' '-').log"
  left=$((limit - (start - began)))
  if [ "$left" -le 0 ]; then table+=("$(printf '%-28s %8s  %s' "$name" "-" "not run: over 80 minutes")"); failed_steps=$((failed_steps+1)); return 1; fi
  echo "── $name"
  if timeout --kill-after=20 "$left" "$@" >"$log" 2>&1 </dev/null; then rc=0; else rc=$?; fi
  local took=$(( $(date +%s) - start ))
  if [ $rc -eq 0 ]; then table+=("$(printf '%-28s %6s s  ok' "$name" "$took")")
  else
    table+=("$(printf '%-28s %6s s  FAILED (%s)' "$name" "$took" "$rc")"); failed_steps=$((failed_steps+1))
    echo "   failed; the end of $log:"; tail -n 120 "$log" | sed 's/^/   | /'
  fi
  return $rc
}

count() { # adds a nextest or cargo-test summary of a log
  local log="$out/$1.log" line
  line=$(grep -E 'Summary \[' "$log" | tail -n 1)
  passed=$((passed + $(grep -oE '[0-9]+ passed' <<<"$line" | grep -oE '[0-9]+' || echo 0)))
  failed=$((failed + $(grep -oE '[0-9]+ failed' <<<"$line" | grep -oE '[0-9]+' || echo 0)))
  local said; said=$(grep -cE '^ *skipped: ' "$log" || true)
  skipped=$((skipped + said)); passed=$((passed - said))
  grep -E '^ *skipped: ' "$log" | sort | uniq -c | sed 's/^/   /'
}

count_cases() { # adds the closing line of freehold-machine
  local log="$out/$1.log" line
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
  [ -n "$line" ] || return 0
  grep -E '^  [✓✗–] ' "$log" | sed 's/^/ /'
  read -r p _ f _ s _ <<<"${line//,/}"
  passed=$((passed + p)); failed=$((failed + f)); skipped=$((skipped + s))
}

step "setup" tests/setup.sh || exit 1
step "tools" tests/tools.sh || exit 1
step "judges" tests/judges.sh
step "axe" tests/axe.sh
step "format" cargo fmt --all --check
# All targets at once: with the features of tests, so that no dependency is built twice.
step "build" cargo build --locked --workspace --all-targets
step "engine" target/debug/freehold-image engine
step "tests" cargo nextest run --locked --workspace --no-fail-fast --success-output final --failure-output final
count tests
step "tour" env TSS2_LOG=all+NONE target/debug/freehold-tour --once && passed=$((passed+1)) || failed=$((failed+1))
step "clippy" env RUSTFLAGS="" cargo clippy --locked --workspace --all-targets -- -D warnings
step "docs" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
step "licences and bans" cargo deny --offline check bans licenses sources
if [ "${1:-}" = image ]; then
  # A case counts as a test, an image that cannot be built as a failed step.
  if step "image inputs" image/inputs.sh && step "image" image/build.sh $(target/debug/freehold-machine variants --quick); then
    step "image cases" tests/as-root.sh target/debug/freehold-machine test --quick
    count_cases image-cases
  fi
fi

total=$(( $(date +%s) - began ))
echo; echo "step                             time  result"
printf '%s\n' "${table[@]}"
printf '%-28s %6s s\n' "total" "$total"
[ "$total" -le "$limit" ] || { echo "over 80 minutes"; failed_steps=$((failed_steps+1)); }
# A step that is no test run counts as one test, so that the closing line tells the truth.
[ "$failed" -gt 0 ] || failed=$failed_steps
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed_steps" -eq 0 ] && [ "$failed" -eq 0 ]
