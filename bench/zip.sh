#!/usr/bin/env bash
# A pipeline of blocks is to be as quick as the program that was written for that alone: `aqzip`, one of our examples, beside `pigz -p2`, on
# the same file, in turns. No part of .ci/run, which judges no time: a figure from a machine that others use as well says nothing.
#   bench/zip.sh [RUNS]      of each at each level, 5 by default; the medians count
# ZIP_BYTES is how large the file is (100000000). Fails if a file does not come out again as it was, or if aqzip takes more than 1.1 times as
# long at level 6. Without pigz (Debian: apt-get install pigz) it says so, and compares nothing.
set -euo pipefail
# shellcheck source=.ci/common.sh
. "$(dirname "$0")/../.ci/common.sh"

export LC_ALL=C
runs=${1:-5} bytes=${ZIP_BYTES:-100000000}
if ! command -v pigz >/dev/null; then
  say "SKIPPED: pigz is not installed (Debian: apt-get install pigz)"
  exit 0
fi

cargo build --quiet --release -p aqueduct --example aqzip
aqzip=$target/release/examples/aqzip
out=$(mktemp -d)
trap 'finished; rm -rf "$out"' EXIT
fail() {
  say "$*" >&2
  exit 1
}

# What every machine with Rust has: texts, the sources of dependencies, and libraries. Who is no longer read from ends with an error.
texts=${CARGO_HOME:-$HOME/.cargo}/registry/src
libraries=$(rustc --print sysroot)/lib/rustlib
{
  { [ ! -d "$texts" ] || tar -cf - -C "$texts" . 2>/dev/null || true; } | head -c $((bytes / 2))
  { tar -cf - -C "$libraries" . 2>/dev/null || true; } | head -c "$bytes"
} | { head -c "$bytes"; cat >/dev/null; } >"$out/file"

milliseconds() { # of a command that writes to the file named first
  local to=$1 start=$EPOCHREALTIME
  shift
  "$@" >"$to"
  awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN { printf "%d\n", (end - start) * 1000 }'
}
median() { sort -n | awk '{ all[NR] = $1 } END { print (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 }'; }

say "$(stat -c %s "$out/file") bytes, $runs runs of each, in turns; $(pigz --version 2>&1), $(uptime | sed 's/.*load/load/')"
printf '| level | aqzip, ms | bytes | pigz -p2, ms | bytes | aqzip / pigz |\n|---|---|---|---|---|---|\n'
too_slow=
for level in 1 6 9; do
  : >"$out/ours" >"$out/theirs"
  for ((run = 0; run < runs; run++)); do
    milliseconds "$out/ours.gz" taskset -c 0,1 "$aqzip" "$out/file" "$level" >>"$out/ours" 2>"$out/said"
    milliseconds "$out/theirs.gz" pigz -p2 "-$level" -c "$out/file" >>"$out/theirs"
  done
  for one in ours theirs; do
    gzip -t "$out/$one.gz" && gzip -dc "$out/$one.gz" | cmp - "$out/file" || fail "what $one compressed does not come out again"
  done
  ours=$(median <"$out/ours") theirs=$(median <"$out/theirs")
  ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')
  printf '| %s | %s | %s | %s | %s | %s |\n' "$level" "$ours" "$(stat -c %s "$out/ours.gz")" "$theirs" "$(stat -c %s "$out/theirs.gz")" "$ratio"
  if [ "$level" = 6 ] && awk -v r="$ratio" 'BEGIN { exit !(r > 1.1) }'; then too_slow=$ratio; fi
done
[ -z "$too_slow" ] || fail "at level 6 aqzip takes $too_slow times as long as pigz -p2"
