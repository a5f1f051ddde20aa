# shellcheck shell=bash
# What the examples share, to be sourced: a gateway that lives as long as the script does, processes that end with it, and
# waiting for a condition. Needs bash.
#
#   start_gateway [FLAG…]      sets TIDEGATE_URL; where it is set already, that gateway is used
#   restart_gateway            kill -9, and a new start at the same address with what is on disk
#   background COMMAND…        starts COMMAND in a process group of its own; BACKGROUND_PID is its leader
#   end_group PID              ends such a group and waits until it is gone
#   has_ended PID              whether a process is gone
#   at_exit COMMAND…           runs COMMAND when the script ends, however it ends; the last one registered runs first
#   eventually WHAT COMMAND…   tries COMMAND until it succeeds; after PATIENCE_S seconds (60) fails and says WHAT never came
#   fail WHY                   ends the script

PATIENCE_S=${PATIENCE_S:-60}

fail() {
    echo "$0: $*" >&2
    exit 1
}

AT_EXIT=()

at_exit() {
    local command
    printf -v command '%q ' "$@"
    AT_EXIT+=("$command")
    trap run_at_exit EXIT
}

run_at_exit() {
    local status=$? i
    # Neither a second Ctrl-C nor a reader that has gone leaves half of it behind.
    trap '' INT TERM HUP PIPE
    for ((i = ${#AT_EXIT[@]} - 1; i >= 0; i--)); do
        eval "${AT_EXIT[i]}" || true
    done
    exit "$status"
}

eventually() {
    local what=$1 end=$((SECONDS + PATIENCE_S))
    shift
    until "$@"; do
        if ((SECONDS >= end)); then
            echo "$0: never came: $what" >&2
            return 1
        fi
        sleep 0.05
    done
}

background() {
    set -m
    "$@" &
    set +m
    BACKGROUND_PID=$!
    at_exit end_group "$BACKGROUND_PID"
}

end_group() {
    kill -- "-$1" 2>/dev/null || true
    # Who has not ended by itself is ended: nothing is left running.
    PATIENCE_S=10 eventually "the end of process group $1" group_is_gone "$1" 2>/dev/null || kill -9 -- "-$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

group_is_gone() { has_ended "-$1"; }

has_ended() {
    # Takes note of children that have ended: they would count as alive.
    jobs >/dev/null
    ! kill -0 -- "$1" 2>/dev/null
}

# The binary of this repository: TIDEGATE_BIN, else what was built, else what is built now.
gateway_binary() {
    local root target built
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    target=${CARGO_TARGET_DIR:-$root/target}
    for built in "${TIDEGATE_BIN:-}" "$target/release/tidegate" "$target/debug/tidegate"; do
        if [ -x "$built" ]; then
            echo "$built"
            return
        fi
    done
    (cd "$root" && cargo build --release --locked >&2)
    echo "$target/release/tidegate"
}

# A port that nobody answers on, below those that the system gives to clients: a client that calls again and again while
# the gateway is down would sooner or later be given the gateway's own port.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

start_gateway() {
    if [ -n "${TIDEGATE_URL:-}" ]; then return; fi
    local binary address
    binary=$(gateway_binary)
    GATEWAY_DIR=$(mktemp -d)
    at_exit rm -rf "$GATEWAY_DIR"
    at_exit stop_gateway
    address=127.0.0.1:$(free_port)
    GATEWAY_COMMAND=("$binary" serve --listen "$address" --data-dir "$GATEWAY_DIR/data" "$@")
    run_gateway
    export TIDEGATE_URL=http://$address
}

run_gateway() {
    : >"$GATEWAY_DIR/out"
    # Its own process group: Ctrl-C ends the script, and the script ends the gateway last.
    set -m
    "${GATEWAY_COMMAND[@]}" >>"$GATEWAY_DIR/out" 2>>"$GATEWAY_DIR/log" &
    set +m
    GATEWAY_PID=$!
    if ! eventually "a gateway that listens" gateway_listens_or_ended || ! grep -qs '^listening on' "$GATEWAY_DIR/out"; then
        cat "$GATEWAY_DIR/log" >&2
        fail "the gateway did not start"
    fi
}

gateway_listens_or_ended() {
    grep -qs '^listening on' "$GATEWAY_DIR/out" || ! kill -0 "$GATEWAY_PID" 2>/dev/null
}

# Ends the gateway as a crash would: with kill -9, which it survives without loss.
stop_gateway() {
    if [ -z "${GATEWAY_PID:-}" ]; then return; fi
    kill -9 "$GATEWAY_PID" 2>/dev/null || true
    wait "$GATEWAY_PID" 2>/dev/null || true
    GATEWAY_PID=
}

restart_gateway() {
    if [ -z "${GATEWAY_PID:-}" ]; then fail "restart_gateway: this script did not start the gateway"; fi
    stop_gateway
    run_gateway
}
