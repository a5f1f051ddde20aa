#!/usr/bin/env python3
"""Replays the page views of an access log on standard input as if they happened now, each written exactly once.

    clicks.py --rate 10 < access.log

What is due is sent as one atomic write with an idempotency key. Whatever becomes of the request or of its answer, the same
bytes are sent again with the same key until there is an answer: the gateway writes them once.
"""

import argparse
import http.client
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

VIEW = re.compile(r'(\S+) [^"]*"GET ([^" ?]+)[^"]*" 200 ')
# What a browser fetches for a page is no page view.
NO_PAGE = re.compile(r"\.(css|js|png|jpe?g|gif|svg|ico|woff2?)$")
# How much is sent at once when the gateway was away for a while.
CLICKS_MAX = 1000
REQUEST_TIMEOUT_S = 10
PAUSE_S = 0.5


def clicks(log: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Address and page of each page view."""
    for line in log:
        if (view := VIEW.match(line)) and not NO_PAGE.search(view[2]):
            yield view[1], view[2]


def batches(log: Iterable[str], rate: float) -> Iterator[bytes]:
    """What is due whenever it is asked for, as NDJSON. A click's timestamp says when it happened, not when it was sent."""
    begin = time.time()
    batch: list[str] = []
    for number, (address, page) in enumerate(clicks(log)):
        due = begin + number / rate
        if batch and (due > time.time() or len(batch) == CLICKS_MAX):
            yield "".join(batch).encode()
            batch = []
        time.sleep(max(0.0, due - time.time()))
        batch.append(json.dumps({"key": address, "timestamp": int(due * 1000), "value": {"page": page}}) + "\n")
    if batch:
        yield "".join(batch).encode()


class Gateway:
    """One connection, opened again whenever it breaks."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        connect = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        self.connection = connect(where.netloc, timeout=REQUEST_TIMEOUT_S)

    def write(self, ndjson: bytes) -> None:
        """Returns when it is on disk, once, however often it has to be sent."""
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": str(uuid.uuid4())}
        while True:
            pause = PAUSE_S
            try:
                self.connection.request("POST", "/v1/topics/clicks/records?atomic=true", ndjson, headers)
                answer = self.connection.getresponse()
                body = answer.read()
                if answer.status == 200:
                    return
                if answer.status < 500 and answer.status != 429:
                    sys.exit(f"refused: {body.decode(errors='replace')}")
                why = f"status {answer.status}"
                if (seconds := answer.getheader("Retry-After", "")).isdecimal():
                    pause = float(seconds)
            except (OSError, http.client.HTTPException) as error:
                why = repr(error)
                self.connection.close()
            print(f"{why}; sent again in {pause} s", file=sys.stderr)
            time.sleep(pause)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Replays an access log on standard input.")
    arguments.add_argument("--rate", type=float, default=10, help="clicks a second")
    gateway = Gateway(os.environ.get("TIDEGATE_URL", "http://127.0.0.1:8080"))
    for batch in batches(sys.stdin, arguments.parse_args().rate):
        gateway.write(batch)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
