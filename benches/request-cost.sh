#!/usr/bin/env bash
# What one request costs: user-space instructions (callgrind) and system calls (strace) of the whole
# gateway process, one worker, metrics and the JSON access log on. HTTP/1.1 plain and over TLS with 16 kept
# connections, the same plain with a rate limit on the route, HTTP/2 over TLS with 8 connections of 32 streams,
# gRPC from HTTP/2 to HTTP/2, and HTTP/1.1 plain
# with an ES256 token that was verified before (jwt), and with the same token past a route that does not look at it
# (token): the difference is what the policy costs. Behind it are a
# real nginx and, for gRPC, the backend of benches/peers/tools. Both are counts, so other load on the
# machine does not change them.
#
#   benches/request-cost.sh [requests]          prints all, fails more than 2 % above the budget
#   TIDEGATE=path                               measures this binary instead of building one
#   KEEP_PROFILE=directory                      keeps what callgrind found
#   VERBOSE=1                                   prints which system calls there were
#
# Needs: nginx, h2load, curl, python3, valgrind and strace, which ./test.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."

requests=${1:-4000}
warm=$((requests / 5 / 32 * 32))
budget_file=benches/budget.txt
export PATH=$PATH:/usr/sbin # Debian keeps nginx there
for program in nginx h2load curl python3 valgrind strace; do
    command -v "$program" >/dev/null || {
        echo "$program is missing: apt-get install nginx-light nghttp2-client curl python3 valgrind strace" >&2
        exit 1
    }
done
binary=${TIDEGATE:-target/release/tidegate}
[ -n "${TIDEGATE:-}" ] || cargo build --release --locked --quiet
cargo build --locked --quiet --example peer_tools
tools=target/debug/examples/peer_tools
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
grpc_backend=$(free_port)
"$tools" backend --listen "127.0.0.1:$grpc_backend" --h2 &
pids+=($!)
"$tools" certificates "$work"
"$tools" token "$work"
printf '\0\0\0\0\5hello' >"$work/message"

# start COMMAND...: runs the gateway under a tool and waits until it answers.
start() {
    plain=$(free_port)
    secure=$(free_port)
    cat >"$work/routes.yaml" <<YAML
version: 1
listeners:
  http: { address: "127.0.0.1:$plain", protocols: [h1, h2c] }
  https: { address: "127.0.0.1:$secure", tls: true }
tls: { certificates: [{ cert: $work/cert.pem, key: $work/key.pem }] }
admin: { address: "127.0.0.1:0", socket: $work/admin.sock }
logs: { access: { format: json, to: $work/access.log } }
server: { workers: 1 }
upstreams: { nginx: "http://127.0.0.1:$backend", grpc: "h2c://127.0.0.1:$grpc_backend" }
policies:
  auth:
    users: { jwt: { issuer: "https://idp.example.com/realms/shop", audience: orders, jwks: $work/keys.json } }
routes:
  api: { match: /api/**, to: nginx }
  users: { match: /users/**, to: nginx, auth: users }
  echo: { match: /echo/**, to: grpc }
  lim: { match: /lim/**, to: nginx, rate_limit: { limit: 1000000/s } }
  rest: { match: /**, respond: 404 }
YAML
    "$@" "$binary" run -c "$work/routes.yaml" >"$work/gateway.out" 2>&1 &
    gateway=$!
    pids+=("$gateway")
    for _ in $(seq 600); do
        curl -fsS -o /dev/null "http://127.0.0.1:$plain/api/hello" 2>/dev/null && return
        kill -0 "$gateway" 2>/dev/null || { cat "$work/gateway.out" >&2; exit 1; }
        sleep 0.1
    done
    echo "the gateway did not answer" >&2
    exit 1
}

# load WORKLOAD REQUESTS
load() {
    case $1 in
        h1) set -- "$2" --h1 -c 16 "http://127.0.0.1:$plain/api/hello" ;;
        h1_limited) set -- "$2" --h1 -c 16 "http://127.0.0.1:$plain/lim/hello" ;;
        h1_tls) set -- "$2" --h1 -c 16 "https://127.0.0.1:$secure/api/hello" ;;
        h2) set -- "$2" -c 8 -m 32 "https://127.0.0.1:$secure/api/hello" ;;
        jwt | token)
            local path=users
            [ "$1" = jwt ] || path=api
            set -- "$2" --h1 -c 16 -H "authorization: Bearer $(cat "$work/token")" \
                "http://127.0.0.1:$plain/$path/hello"
            ;;
        grpc) set -- "$2" -c 8 -m 32 -d "$work/message" -H 'content-type: application/grpc' \
            -H 'te: trailers' "http://127.0.0.1:$plain/echo/Unary" ;;
    esac
    local count=$1
    shift
    h2load -n "$count" "$@" >"$work/h2load.out" 2>&1 || true
    grep -q " $count succeeded" "$work/h2load.out" || { cat "$work/h2load.out" >&2; exit 1; }
}

failed=0
judge() { # NAME VALUE
    local limit goal
    read -r limit goal < <(awk -v key="$1" '$1 == key { print $2, $3 }' "$budget_file")
    if awk -v a="$2" -v b="$limit" 'BEGIN { exit !(a > b * 1.02) }'; then
        echo "$1: $2 (limit $limit, goal $goal) EXCEEDED"
        failed=1
    else
        echo "$1: $2 (limit $limit, goal $goal)"
    fi
}

control() { callgrind_control "$@" "$gateway" >/dev/null 2>&1; }

workloads=(h1 h1_limited h1_tls h2 grpc jwt)
declare -A instructions
start valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$work/callgrind.out"
# Handshakes and what is made once must not count, so connections are opened and closed before; what a
# request costs is what more of them cost.
for workload in "${workloads[@]}" token; do
    load "$workload" "$warm"
    for count in "$requests" $((requests * 2)); do
        control -z
        control -i on
        load "$workload" "$count"
        control -i off
        control -d
        dump=$(ls -t "$work"/callgrind.out* | head -n 1)
        mv "$dump" "$work/$workload.$count"
    done
    total() { awk '/^totals:/ { sum += $2 } END { printf "%.0f", sum }' "$work/$workload.$1"; }
    instructions[$workload]=$(awk -v a="$(total "$requests")" -v b="$(total $((requests * 2)))" \
        -v n="$requests" 'BEGIN { printf "%.0f", (b - a) / n }')
    judge "${workload}_instructions" "${instructions[$workload]}"
    [ -z "${KEEP_PROFILE:-}" ] || cp "$work/$workload.$((requests * 2))" "$KEEP_PROFILE/$workload.callgrind"
done
judge jwt_policy_instructions $((instructions[jwt] - instructions[token]))
judge limit_instructions $((instructions[h1_limited] - instructions[h1]))
kill -TERM "$gateway" && wait "$gateway" 2>/dev/null || true

if ! strace -f -c -o "$work/strace.probe" true 2>/dev/null; then
    echo "!!! SYSTEM CALLS WERE NOT COUNTED: this machine does not let strace trace (ptrace)" >&2
    exit "$failed"
fi
start env
for workload in "${workloads[@]}"; do
    load "$workload" "$warm"
    for count in "$requests" $((requests * 2)); do
        strace -f -c -o "$work/strace.$count" -p "$gateway" 2>/dev/null &
        tracer=$!
        sleep 1
        load "$workload" "$count"
        kill -INT "$tracer" && wait "$tracer" 2>/dev/null || true
    done
    calls() { awk '$NF == "total" { print ($4 ~ /^[0-9]+$/) ? $4 : $3 }' "$work/strace.$1"; }
    judge "${workload}_system_calls" \
        "$(awk -v a="$(calls "$requests")" -v b="$(calls $((requests * 2)))" -v n="$requests" 'BEGIN { printf "%.2f", (b - a) / n }')"
    [ -z "${VERBOSE:-}" ] || cat "$work/strace.$((requests * 2))"
done
exit "$failed"
