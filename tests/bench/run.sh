#!/usr/bin/env bash
# The figures of docs/benchmarks.md. Release builds are made here and nowhere else.
set -eu
cd "$(dirname "$0")/../.."
export TSS2_LOG=all+NONE
tests/step.sh "Building release programs" cargo build --locked --release -p freehold-bench -p freehold-ctl -p freehold-gateway -p freehold-console
tests/step.sh "Making the judges" tests/judges.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python=target/judges/bin/python
[ -f "target/bench/random.gguf" ] || { mkdir -p target/bench; "$python" tests/bench/random_model.py target/bench/random.gguf; }
uname -sr; grep -m1 'model name' /proc/cpuinfo; nproc
target/release/freehold-bench evidence --scratch "$scratch"
target/release/freehold-bench hash --scratch "$scratch" --programs target/release --python "$python"
target/release/freehold-bench chat --scratch "$scratch" --programs target/release --model target/bench/random.gguf
target/release/freehold-bench record --scratch "$scratch"
target/release/freehold-bench console --scratch "$scratch" --programs target/release
target/release/freehold-bench supply
