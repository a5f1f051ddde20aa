#!/usr/bin/env bash
# Installs what the tests need where it is missing, and runs everything: format, lints, tests, the OpenAPI document.
# Leaves nothing running.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

# The bundled SQLite needs a C compiler; the tests of hostile requests speak raw sockets and need nothing more.
if ! command -v cc >/dev/null; then
    say "installing a C compiler"
    apt-get update -q && apt-get install -qy --no-install-recommends build-essential
fi

# Two nodes are tested behind it, with deploy/nginx.conf.
if [ ! -x /usr/sbin/nginx ]; then
    say "installing nginx"
    apt-get update -q && apt-get install -qy --no-install-recommends nginx
    # The package starts one of its own.
    service nginx stop >/dev/null 2>&1 || true
fi

# Pages are tested in a real browser, driven from Node.
if [ ! -x "${CHROMIUM:-/usr/bin/chromium}" ] || ! command -v npm >/dev/null; then
    say "installing Chromium and Node"
    apt-get update -q && apt-get install -qy --no-install-recommends chromium nodejs npm
fi

# The store's behaviour suite and the black-box suite run on PostgreSQL as well: a private one, gone when this script
# ends.
. scripts/postgres.sh
if [ -z "${TEST_POSTGRES_URL:-}" ]; then
    say "starting a private PostgreSQL"
    trap stop_postgres EXIT
    start_postgres
fi

say "format"
cargo fmt --check

say "lints"
cargo clippy --locked --all-targets -- -D warnings

say "tests"
# They wait for disks and clocks more than they compute; and each gateway takes some of the database's connections.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-6}
cargo test --locked --all-targets

cargo build --locked --quiet
TIDEGATE_BIN=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/tidegate
export TIDEGATE_BIN

say "tests in a browser"
(cd tests/browser && npm ci --silent && npm test)

say "the examples"
for test in examples/*/test.sh; do
    "$test"
done

say "every answer is what its OpenAPI document says"
if ! python3 -c 'import ensurepip' 2>/dev/null; then
    apt-get update -q && apt-get install -qy --no-install-recommends python3 python3-venv
fi
tests/contract/run.sh

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet

say "the OpenAPI document is that of the code"
cargo run --locked --quiet -- openapi | diff -u openapi/tidegate.json - || {
    echo "openapi/tidegate.json is stale: cargo run -- openapi > openapi/tidegate.json" >&2
    exit 1
}

say "all well"
