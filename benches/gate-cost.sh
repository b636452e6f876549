#!/bin/sh
# What the gate before routing costs an ordinary HTTP/1 request of eight fields: the checks of the
# head, hop-by-hop fields out, claims and overrides out. Counts instructions and fails above the limit
# in budget.txt.
# Only the gate is counted: callgrind collects inside `Gate::run` and nowhere else. The difference of
# two numbers of rounds leaves out what happens once.
set -eu
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "gate-cost: valgrind is missing (apt install valgrind)" >&2; exit 2; }

bench=${1:-}
if [ -z "$bench" ]; then
    bench=$(cargo bench --bench gate_instructions --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"gate_instructions".*"executable":"\([^"]*\)".*/\1/p')
fi
[ -x "$bench" ] || { echo "gate-cost: the bench was not built" >&2; exit 2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Instructions of so many rounds of 100 heads.
total() {
    ROUNDS=$1 valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        --toggle-collect='*Gate*run*' "$bench" >"$scratch/said" 2>"$scratch/log" ||
        { cat "$scratch/log" >&2; exit 2; }
    sed -n 's/^totals: *\([0-9]*\).*/\1/p' "$scratch/out"
}

few=$(total 10)
many=$(total 60)
if [ -n "${KEEP_PROFILE:-}" ]; then cp "$scratch/out" "$KEEP_PROFILE"; fi
count=$((( ${many:-0} - ${few:-0} ) / 5000))
[ "$count" -gt 0 ] || { echo "gate-cost: nothing was counted" >&2; exit 2; }
limit=$(awk '$1 == "gate_instructions" { print $2 }' benches/budget.txt)
if [ "$count" -gt "$limit" ]; then
    echo "gate_instructions: $count (limit $limit) EXCEEDED"
    exit 1
fi
echo "gate_instructions: $count (limit $limit)"
