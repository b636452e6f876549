#!/bin/sh
# Matching must cost the same whatever the number of routes: counts the instructions of a look-up
# with 100 and with 10,000 routes and fails when they differ by more than 20 %.
# Only look-ups are counted: callgrind collects inside `Requests::run` and nowhere else. Of the first
# rounds nothing counts: there the regular expressions fill their caches.
set -eu
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "match-flat: valgrind is missing (apt install valgrind)" >&2; exit 2; }

bench=${1:-}
if [ -z "$bench" ]; then
    bench=$(cargo bench --bench match_instructions --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"match_instructions".*"executable":"\([^"]*\)".*/\1/p')
fi
[ -x "$bench" ] || { echo "match-flat: the bench was not built" >&2; exit 2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Instructions of so many rounds of 100 look-ups.
total() {
    ROUTES=$1 ROUNDS=$2 valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        --toggle-collect='*Requests*run*' "$bench" >"$scratch/said" 2>"$scratch/log" ||
        { cat "$scratch/log" >&2; exit 2; }
    sed -n 's/^totals: *\([0-9]*\).*/\1/p' "$scratch/out"
}
count() {
    warm=$(total "$1" 10)
    all=$(total "$1" 60)
    echo $((( ${all:-0} - ${warm:-0} ) / 5000))
}

few=$(count 100)
many=$(count 10000)
[ "$few" -gt 0 ] && [ "$many" -gt 0 ] || { echo "match-flat: nothing was counted" >&2; exit 2; }
echo "instructions per look-up: $few with 100 routes, $many with 10,000"
difference=$((few > many ? few - many : many - few))
[ $((difference * 100)) -le $((few * 20)) ] || { echo "match-flat: more than 20 % apart" >&2; exit 1; }
