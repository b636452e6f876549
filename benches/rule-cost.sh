#!/bin/sh
# What a rule of `authorize` costs a request: instructions by callgrind, the difference of two runs, and time.
set -eu
cd "$(dirname "$0")/.."
cargo bench --no-run --bench authorize_instructions
bench=$(find "${CARGO_TARGET_DIR:-target}/release/deps" -name 'authorize_instructions-*' -perm -100 -type f -printf '%T@ %p\n' |
    sort -n | tail -1 | cut -d' ' -f2)
count() {
    RULE=$1 TIMES=$2 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" 2>&1 |
        sed -n 's/.*Collected : //p'
}
for rule in method typical all pattern thousand; do
    few=$(count "$rule" 100) many=$(count "$rule" 1100)
    echo "$rule: $(((many - few) / 1000)) instructions"
done
"$bench"
