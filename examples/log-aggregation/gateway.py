"""One call of the gateway, for ship.py and archive.py: what may be sent again is sent again until it is answered."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ.get("TIDEGATE_URL", "http://127.0.0.1:8080")


class Refused(Exception):
    """The gateway said no, and sending the same again would not help; `retry` says what would."""

    def __init__(self, problem: dict[str, str]) -> None:
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.code = problem["code"]
        self.retry = problem["retry"]


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Waits for as long as the gateway is away. So the caller's request has to be one that may come twice."""
    waits = False
    while True:
        try:
            request = urllib.request.Request(URL + path, body, headers, method="POST")
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as refusal:
            problem = json.load(refusal)
            if problem["retry"] not in ("later", "same_key"):
                raise Refused(problem) from None
        except (OSError, http.client.HTTPException) as why:
            if not waits:
                print(f"{Path(sys.argv[0]).name}: waits for the gateway at {URL} (TIDEGATE_URL): {why}", file=sys.stderr)
                waits = True
        time.sleep(0.2)
