#!/usr/bin/env bash
# What one request costs: user-space instructions (callgrind) and system calls (strace) of the whole
# gateway process, one worker, 16 keep-alive connections, metrics and the JSON access log on, a real
# nginx behind it. Both are counts, so other load on the machine does not change them.
#
#   benches/request-cost.sh [requests]          prints both, fails above the budget
#
# Needs: nginx, h2load, curl and python3, which ./test.sh installs, and valgrind and strace, which only this
# script uses: apt-get install valgrind strace
set -euo pipefail
cd "$(dirname "$0")/.."

requests=${1:-4000}
budget_file=benches/budget.txt
export PATH=$PATH:/usr/sbin # Debian keeps nginx there
for program in nginx h2load curl python3 valgrind strace; do
    command -v "$program" >/dev/null || {
        echo "$program is missing: apt-get install nginx-light nghttp2-client curl python3 valgrind strace" >&2
        exit 1
    }
done
binary=${TIDEGATE:-target/release/tidegate}
[ -n "${TIDEGATE:-}" ] || cargo build --release --quiet
work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

backend=$(free_port)
cat >"$work/nginx.conf" <<CONF
worker_processes 1;
pid $work/nginx.pid;
error_log $work/nginx.log;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:$backend;
        location / { default_type application/json; return 200 '{"hello":"world","from":"nginx"}'; }
    }
}
CONF
nginx -p "$work" -c "$work/nginx.conf" -g 'daemon off;' &
pids+=($!)

# start PORT COMMAND...: runs the gateway under a tool and waits until it answers.
start() {
    local port=$1
    shift
    cat >"$work/routes.yaml" <<YAML
version: 1
listeners: { http: { address: "127.0.0.1:$port" } }
admin: { address: "127.0.0.1:0", socket: $work/admin.sock }
logs: { access: { format: json, to: $work/access.log } }
server: { workers: 1 }
upstreams: { nginx: "http://127.0.0.1:$backend" }
routes:
  api: { match: /api/**, to: nginx }
  rest: { match: /**, respond: 404 }
YAML
    "$@" "$binary" run -c "$work/routes.yaml" >"$work/gateway.out" 2>&1 &
    gateway=$!
    pids+=("$gateway")
    for _ in $(seq 600); do
        curl -fsS -o /dev/null "http://127.0.0.1:$port/api/hello" 2>/dev/null && return
        kill -0 "$gateway" 2>/dev/null || { cat "$work/gateway.out" >&2; exit 1; }
        sleep 0.1
    done
    echo "the gateway did not answer" >&2
    exit 1
}

load() { h2load --h1 -c 16 -n "$1" "http://127.0.0.1:$2/api/hello" >"$work/h2load.out"; 
    grep -q " $1 succeeded" "$work/h2load.out" || { cat "$work/h2load.out" >&2; exit 1; }; }

failed=0
judge() { # NAME VALUE
    local limit goal
    read -r limit goal < <(awk -v key="$1" '$1 == key { print $2, $3 }' "$budget_file")
    if awk -v a="$2" -v b="$limit" 'BEGIN { exit !(a > b) }'; then
        echo "$1: $2 (limit $limit, goal $goal) EXCEEDED"
        failed=1
    else
        echo "$1: $2 (limit $limit, goal $goal)"
    fi
}

port=$(free_port)
start "$port" valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$work/callgrind.out"
load 800 "$port"
callgrind_control -i on "$gateway" >/dev/null 2>&1
load "$requests" "$port"
callgrind_control -i off "$gateway" >/dev/null 2>&1
callgrind_control -d "$gateway" >/dev/null 2>&1
kill -TERM "$gateway" && wait "$gateway" 2>/dev/null || true
total=$(grep -h '^totals:' "$work"/callgrind.out* | awk '{ sum += $2 } END { print sum }')
judge h1_instructions "$(awk -v a="$total" -v n="$requests" 'BEGIN { printf "%.0f", a / n }')"
if [ -n "${KEEP_PROFILE:-}" ]; then cat "$work"/callgrind.out.1 >"$KEEP_PROFILE"; fi

port=$(free_port)
start "$port" env
load 800 "$port"
strace -f -c -o "$work/strace.out" -p "$gateway" 2>/dev/null &
tracer=$!
sleep 1
load "$requests" "$port"
kill -INT "$tracer" && wait "$tracer" 2>/dev/null || true
calls=$(awk '$NF == "total" { print ($4 ~ /^[0-9]+$/) ? $4 : $3 }' "$work/strace.out")
judge h1_system_calls "$(awk -v a="$calls" -v n="$requests" 'BEGIN { printf "%.2f", a / n }')"
[ -z "${VERBOSE:-}" ] || cat "$work/strace.out"
exit "$failed"
