# shellcheck shell=bash
# A private PostgreSQL for tests, to be sourced: `start_postgres` sets TEST_POSTGRES_URL, `stop_postgres` (for a trap) ends
# the server and takes its directory away. It listens on 127.0.0.1 only, on a free port, and its settings are the safe
# ones that the gateway insists on.

# PostgreSQL refuses to run as root: then this user runs it.
POSTGRES_TEST_USER=${POSTGRES_TEST_USER:-nobody}

# Where Debian keeps the server programs, if they are not in the path.
postgres_programs() {
    if command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
        dirname "$(command -v initdb)"
        return
    fi
    local found
    found=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] && dirname "$found"
}

as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid "$POSTGRES_TEST_USER" --regid "$(id -g "$POSTGRES_TEST_USER")" --clear-groups -- "$@"
    else
        "$@"
    fi
}

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        # Nobody answers: it is free.
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

start_postgres() {
    local programs
    programs=$(postgres_programs) || true
    if [ -z "$programs" ]; then
        apt-get update -q && apt-get install -qy --no-install-recommends postgresql
        programs=$(postgres_programs)
    fi
    POSTGRES_PROGRAMS=$programs
    POSTGRES_DIR=$(mktemp -d)
    chmod 711 "$POSTGRES_DIR"
    if [ "$(id -u)" -eq 0 ]; then chown "$POSTGRES_TEST_USER" "$POSTGRES_DIR"; fi
    as_postgres "$programs/initdb" --pgdata "$POSTGRES_DIR/data" --username tidegate --auth trust --encoding UTF8 \
        --locale C >"$POSTGRES_DIR.log" || { cat "$POSTGRES_DIR.log" >&2; return 1; }
    POSTGRES_PORT=$(free_port)
    run_postgres
    TEST_POSTGRES_URL="postgres://tidegate@127.0.0.1:$POSTGRES_PORT/postgres"
    export TEST_POSTGRES_URL
}

# Starts the server where it was. Many gateways are tested at once, with several connections each.
run_postgres() {
    as_postgres "$POSTGRES_PROGRAMS/pg_ctl" --pgdata "$POSTGRES_DIR/data" --log "$POSTGRES_DIR/log" --silent --wait \
        --options "-p $POSTGRES_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$POSTGRES_DIR \
            -c max_connections=400" start >/dev/null
}

# Ends it as a crash would: its clients are told nothing, and the next start recovers from the log.
crash_postgres() {
    as_postgres "$POSTGRES_PROGRAMS/pg_ctl" --pgdata "$POSTGRES_DIR/data" --mode immediate --silent stop
}

# Sends a signal to all children of the server's main process. Who ends meanwhile is no failure: neither of reading what
# it is, nor of telling it.
signal_children() {
    local child
    for child in $(awk -v main="$2" '$4 == main { print $1 }' /proc/[0-9]*/stat 2>/dev/null || true); do
        kill "-$1" "$child" 2>/dev/null || true
    done
}

# Ends all processes of the server with kill -9.
kill_postgres() {
    local main
    main=$(head -n 1 "$POSTGRES_DIR/data/postmaster.pid")
    # Stopped first, so that it starts no other child meanwhile.
    kill -STOP "$main"
    signal_children KILL "$main"
    kill -KILL "$main"
}

# Stops all its processes where they are: its connections stay, new ones are taken by the kernel, and nothing is said.
pause_postgres() {
    local main
    main=$(head -n 1 "$POSTGRES_DIR/data/postmaster.pid")
    kill -STOP "$main"
    signal_children STOP "$main"
}

# Lets them go on.
resume_postgres() {
    local main
    main=$(head -n 1 "$POSTGRES_DIR/data/postmaster.pid")
    signal_children CONT "$main"
    kill -CONT "$main"
}

stop_postgres() {
    if [ -n "${POSTGRES_DIR:-}" ] && [ -d "$POSTGRES_DIR" ]; then
        # One that was left paused would not hear that it is to stop.
        resume_postgres 2>/dev/null || true
        as_postgres "$POSTGRES_PROGRAMS/pg_ctl" --pgdata "$POSTGRES_DIR/data" --mode immediate --silent stop || true
        rm -rf -- "$POSTGRES_DIR" "$POSTGRES_DIR.log"
    fi
}
