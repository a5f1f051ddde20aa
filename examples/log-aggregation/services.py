#!/usr/bin/env python3
"""Fifty services that log: real HTTP servers that call each other, each with a log file LOGS/TEAM/SERVICE.log.

    services.py LOGS [REQUESTS_PER_S]

A request carries an id along, so that its way through the services can be searched for. Some requests ask for what is not
there, and some make a service fail, with a traceback of several lines. The files may be rotated by renaming them. SIGTERM or
Ctrl-C ends it, after what is under way.
"""

from __future__ import annotations

import logging
import logging.handlers
import random
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TEAMS = {
    "shop": "web cart checkout catalog prices search reviews wishlist coupons recommendations",
    "pay": "payments cards invoices refunds ledger fraud payouts taxes wallet subscriptions",
    "ship": "orders stock warehouse carriers labels tracking returns customs routes addresses",
    "people": "login sessions profiles mail sms push consents avatars teams support",
    "data": "events metrics reports exports imports alerts experiments segments forecasts audits",
}


class Service(ThreadingHTTPServer):
    """One service: answers GET /NUMBER, after it has asked some of those that it depends on."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, team: str, name: str, log_file: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.depends_on: list[Service] = []
        log_file.parent.mkdir(parents=True, exist_ok=True)
        # Opens a new file when the old one has been renamed, as services under logrotate do.
        handler = logging.handlers.WatchedFileHandler(log_file, encoding="utf-8")
        formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
        self.log = logging.Logger(f"{team}.{name}")
        self.log.addHandler(handler)
        self.log.info("listening on %s", self.url)


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        began = time.monotonic()
        request = self.headers["X-Request-Id"]
        try:
            status = 404 if int(self.path[1:]) > 950 else 200
            for service in self.server.depends_on:
                if status == 200 and random.random() < 0.4:
                    status = get(f"{service.url}/{random.randrange(1000)}", request)
                    if status >= 400:
                        self.server.log.warning("request=%s %s answered %d", request, service.log.name, status)
        except ValueError:
            status = 500
            self.server.log.exception("request=%s cannot be answered", request)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        level = logging.INFO if status < 400 else logging.WARNING
        self.server.log.log(level, "request=%s GET %s %d %.1f ms", request, self.path, status, (time.monotonic() - began) * 1000)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error: the service has a log of its own."""


def get(url: str, request: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"X-Request-Id": request}), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def main() -> None:
    logs, per_second = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    services = [Service(team, name, logs / team / f"{name}.log") for team, names in TEAMS.items() for name in names.split()]
    for place, service in enumerate(services):
        later = services[place + 1 :]
        service.depends_on = random.sample(later, min(3, len(later)))
        threading.Thread(target=service.serve_forever).start()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    count = 0
    while not ended.wait(1 / per_second):
        what = "half" if random.random() < 0.01 else str(random.randrange(1000))
        get(f"{services[count % len(services)].url}/{what}", f"{random.getrandbits(32):08x}")
        count += 1
    # Every request has been answered by now. All at once, since each looks only twice a second whether it is to end.
    with ThreadPoolExecutor(len(services)) as pool:
        pool.map(Service.shutdown, services)
    for service in services:
        service.server_close()


if __name__ == "__main__":
    main()
