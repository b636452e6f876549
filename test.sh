#!/usr/bin/env bash
# The one test command: installs what is missing (Debian packages, cargo-deny, an OpenID provider), then
# runs everything that must hold before a change is merged. Rust itself is assumed. Stops at the first step
# that fails.
set -euo pipefail
cd "$(dirname "$0")"

DENY_VERSION=0.20.2
PROVIDER_VERSION=9.13.3
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate
TIMES=()

say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }

# step NAME COMMAND...: runs it, keeps its time, and says which step failed.
step() {
    local name=$1 start=$SECONDS
    shift
    say "$name"
    if ! "$@"; then
        printf '\n\033[1;31mFAILED: %s\033[0m\n  %s\n' "$name" "$*" >&2
        exit 1
    fi
    TIMES+=("$(printf '%5ds  %s' $((SECONDS - start)) "$name")")
}

# A package is needed when its program is missing: what is there from elsewhere is good enough.
install_packages() {
    local missing=() program
    local -A packages=(
        [nginx]=nginx-light [h2load]=nghttp2-client [curl]=curl [python3]=python3
        [cc]=build-essential [etcd]=etcd-server [git]=git [valgrind]=valgrind [strace]=strace
        [dnsmasq]=dnsmasq-base [node]=nodejs [npm]=npm [chromium]=chromium
        [chromedriver]=chromium-driver [redis-server]=redis-server [redis-cli]=redis-tools
    )
    for program in "${!packages[@]}"; do
        PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("${packages[$program]}")
    done
    if ! python3 -c 'import flask' 2>/dev/null && ! /usr/bin/python3 -c 'import flask' 2>/dev/null; then
        missing+=(python3-flask)
    fi
    if [ ${#missing[@]} -eq 0 ]; then
        echo "nothing is missing"
        return
    fi
    echo "installing: ${missing[*]}"
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    "${root[@]}" apt-get update -q
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# A real OpenID provider, for the logins with a browser.
install_provider() {
    local directory=$CACHE/oidc-provider
    if grep -qs "\"version\": \"$PROVIDER_VERSION\"" "$directory/node_modules/oidc-provider/package.json"; then
        echo "oidc-provider $PROVIDER_VERSION is there"
        return
    fi
    mkdir -p "$directory"
    npm install --prefix "$directory" --no-audit --no-fund --ignore-scripts --save-exact \
        "oidc-provider@$PROVIDER_VERSION"
}

# rustup's minimal profile has neither.
install_components() {
    local missing=()
    cargo fmt --version >/dev/null 2>&1 || missing+=(rustfmt)
    cargo clippy --version >/dev/null 2>&1 || missing+=(clippy)
    if [ ${#missing[@]} -eq 0 ]; then
        echo "rustfmt and clippy are there"
    elif command -v rustup >/dev/null; then
        rustup component add "${missing[@]}"
    else
        echo "missing: ${missing[*]} (Debian: rustfmt, rust-clippy)" >&2
        return 1
    fi
}

install_deny() {
    if cargo deny --version 2>/dev/null | grep -qx "cargo-deny $DENY_VERSION"; then
        echo "cargo-deny $DENY_VERSION is there"
        return
    fi
    echo "building cargo-deny $DENY_VERSION (once, about two minutes)"
    cargo install cargo-deny --locked --version "$DENY_VERSION" --root "$CACHE"
}

# The database of advisories is fetched over the network. Where that is not possible the rest must still be
# checked, and nobody may believe that this was.
advisories() {
    local output
    if output=$(cargo deny --all-features check advisories 2>&1); then
        printf '%s\n' "$output" | tail -n 1
    elif grep -q 'failed to fetch advisory database' <<<"$output"; then
        ADVISORIES=unchecked
        unchecked
    else
        printf '%s\n' "$output"
        return 1
    fi
}

unchecked() {
    printf '\033[1;33m'
    printf '!!! %s\n' \
        'ADVISORIES WERE NOT CHECKED: the RustSec database cannot be reached from here.' \
        'Known vulnerabilities in dependencies would not be seen. Run `cargo deny check advisories`' \
        'on a machine that reaches https://github.com/RustSec/advisory-db before a release.'
    printf '\033[0m'
}

documentation() {
    RUSTDOCFLAGS="-D warnings -D rustdoc::broken_intra_doc_links" cargo doc --no-deps --locked
}

ADVISORIES=checked
export PATH=$CACHE/bin:$PATH:/usr/sbin

step "packages" install_packages
step "rust components" install_components
step "cargo-deny" install_deny
step "OpenID provider" install_provider
step "formatting" cargo fmt --check
step "clippy" cargo clippy --all-targets --locked -- -D warnings
step "documentation" documentation
step "bans, licences, sources" cargo deny --log-level error --all-features check bans licenses sources
step "advisories" advisories
# Built first, so that no test pays for it.
step "build" cargo build --locked --all-targets

step "release build" cargo build --locked --release
step "what a request costs" benches/request-cost.sh 2000

say "steps before the tests"
printf '%s\n' "${TIMES[@]}"
[ "$ADVISORIES" = checked ] || unchecked
# Last, so that its own summary ends the output.
step "tests" cargo test --locked
printf '%s\n' "${TIMES[-1]}"
