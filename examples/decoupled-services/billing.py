#!/usr/bin/env python3
"""Bills orders: a member of the consumer group `billing` that writes invoices to an SQLite database, each order once.

    billing.py [--member NAME] [--database billing.db]

The group gives every record at least once: what was billed but not yet committed when this process died comes again. The
database makes it once: an invoice's key is the place of its record in the log, which never changes. So it may be killed at any
moment, and several may run, on one database or under different names. Nothing is needed but Python 3.11.
"""

import argparse
import http.client
import json
import os
import signal
import sqlite3
import sys
import time
from typing import Any
from urllib.parse import quote, urlsplit

SCHEMA = """
create table if not exists invoices (
    partition integer not null,
    offset integer not null,
    order_id text not null,
    customer text not null,
    cents integer not null,
    primary key (partition, offset)
)
"""
WAIT_MS = 5_000
PAUSE_S = 0.5


class Rejoin(Exception):
    """The lease ran out and others went on, or another run took the name: nothing was committed; begin anew."""


class Member:
    """A consumer as one call: each poll commits what the one before returned, renews the lease and brings the next records."""

    def __init__(self, gateway: str, name: str, lease_ms: int, max_records: int) -> None:
        where = urlsplit(gateway)
        connect = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        self.connection = connect(where.netloc, timeout=WAIT_MS / 1000 + 10)
        self.path = f"/v1/groups/billing/members/{quote(name)}"
        self.options = {"wait_ms": WAIT_MS, "max_records": max_records}
        self.begin = {"topics": ["orders"], "lease_ms": lease_ms}

    def poll(self, cursor: str | None) -> dict[str, Any]:
        """Goes on from `cursor`; without one it joins. After any failure the same call is safe to repeat, and is repeated."""
        request = {**self.options, **({"cursor": cursor} if cursor else self.begin)}
        while True:
            pause = PAUSE_S
            try:
                status, headers, body = self.call("POST", f"{self.path}/poll", request)
                if status == 200:
                    page: dict[str, Any] = json.loads(body)
                    return page
                if headers.get_content_type() == "application/problem+json":
                    problem = json.loads(body)
                    if problem["retry"] == "rejoin":
                        raise Rejoin(problem["detail"])
                    if problem["retry"] == "never":
                        sys.exit(f"billing: refused: {problem['detail']}")
                why = f"status {status}"
                if (seconds := headers.get("Retry-After", "")).isdecimal():
                    pause = float(seconds)
            except (OSError, http.client.HTTPException) as error:
                why = repr(error)
                self.connection.close()
            say(f"{why}; asked again in {pause} s")
            time.sleep(pause)

    def leave(self) -> None:
        """What it held is free at once, instead of when the lease runs out."""
        try:
            self.connection.close()
            self.call("DELETE", self.path, None)
        except (OSError, http.client.HTTPException) as error:
            say(f"left without saying so: {error!r}")

    def call(self, method: str, path: str, request: dict[str, Any] | None) -> tuple[int, http.client.HTTPMessage, bytes]:
        body = json.dumps(request) if request else None
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()


def bill(database: sqlite3.Connection, record: dict[str, Any]) -> bool:
    """Writes the invoice; false if it was there already. On disk when this returns."""
    event = record["value"]
    order = event["data"]
    row = (record["partition"], record["offset"], event["id"], order["customer"], round(order["dollars"] * 100))
    with database:
        return database.execute("insert or ignore into invoices values (?, ?, ?, ?, ?)", row).rowcount == 1


def say(what: str) -> None:
    print(f"billing: {what}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Bills orders, each once.")
    parser.add_argument("--member", default="billing-1")
    parser.add_argument("--database", default="billing.db")
    parser.add_argument("--lease-ms", type=int, default=10_000)
    parser.add_argument("--max-records", type=int, default=50)
    parser.add_argument("--work-ms", type=int, default=0, help="how long the work on one order takes")
    options = parser.parse_args()

    database = sqlite3.connect(options.database, timeout=30)
    # Whoever reads the invoices waits for nobody. A commit is synced to disk all the same.
    database.execute("pragma journal_mode = wal")
    database.execute(SCHEMA)
    member = Member(
        os.environ.get("TIDEGATE_URL", "http://127.0.0.1:8080"), options.member, options.lease_ms, options.max_records
    )
    # Asked to end, by whatever means but kill -9, it leaves the group.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    cursor = None
    billed = seen = 0
    try:
        while True:
            try:
                page = member.poll(cursor)
            except Rejoin as reason:
                say(f"begins anew: {reason}")
                cursor = None
                continue
            for record in page["records"]:
                time.sleep(options.work_ms / 1000)
                if bill(database, record):
                    billed += 1
                else:
                    seen += 1
            if page["records"]:
                say(f"{billed} orders billed, {seen} were billed already")
            cursor = page["cursor"]
    finally:
        member.leave()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
