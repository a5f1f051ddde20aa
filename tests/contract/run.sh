#!/usr/bin/env bash
# Holds running gateways to their own OpenAPI documents, with Schemathesis, in all its phases: one that needs no key and
# one that does. SCHEMATHESIS_EXAMPLES says how many cases a call gets at most, SCHEMATHESIS_SEED where chance begins.
set -euo pipefail
cd "$(dirname "$0")"

build=${CARGO_TARGET_DIR:-../../target}
binary=${TIDEGATE_BIN:-$build/debug/tidegate}
tools=$build/schemathesis
if ! cmp -s requirements.txt "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
    cp requirements.txt "$tools/"
fi

scratch=$(mktemp -d)
gateway=
stop() {
    [ -z "$gateway" ] || { kill -9 "$gateway" && wait "$gateway"; } 2>/dev/null || true
    gateway=
}
trap 'stop; rm -rf "$scratch"' EXIT

# start NAME [VARIABLE=VALUE…]: a gateway that need not wait long for anything.
start() {
    local name=$1
    shift
    env "$@" "$binary" --listen 127.0.0.1:0 --data-dir "$scratch/$name" --wait-ms-max 200 --heartbeat-ms 1000 \
        --address-auth-failures-per-minute 1000000 >"$scratch/$name.out" 2>"$scratch/$name.err" &
    gateway=$!
    until url=$(sed -n 's/^listening on //p' "$scratch/$name.out") && [ -n "$url" ]; do
        kill -0 "$gateway" 2>/dev/null || { cat "$scratch/$name.err" >&2; exit 1; }
    done
}

check() {
    local name=$1
    shift
    echo "== $name"
    (cd "$scratch" && PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 "$tools/bin/schemathesis" --config-file "$here/schemathesis.toml" \
        run "$url/openapi.json" --max-examples "${SCHEMATHESIS_EXAMPLES:-20}" --seed "${SCHEMATHESIS_SEED:-1}" \
        --phases examples,coverage,fuzzing,stateful "$@")
    if grep -i panicked "$scratch/$name.err"; then
        echo "the gateway panicked" >&2
        exit 1
    fi
}

here=$PWD
tools=$(realpath "$tools")
key=$(head -c 24 /dev/urandom | base64)

start open
check open
stop
start keys TIDEGATE_ADMIN_KEY="$key"
check keys --header "Authorization: Bearer $key"
