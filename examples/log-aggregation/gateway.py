"""One call of the gateway, for ship.py and archive.py: what may be sent again is sent again until it is answered."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request

URL = os.environ.get("TIDEGATE_URL", "http://127.0.0.1:8080")


class Refused(Exception):
    """The gateway said no, and sending the same again would not help; `retry` says what would."""

    def __init__(self, problem: dict[str, str]) -> None:
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.code = problem["code"]
        self.retry = problem["retry"]


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Waits for as long as the gateway is away. So the caller's request has to be one that may come twice."""
    while True:
        try:
            request = urllib.request.Request(URL + path, body, headers, method="POST")
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as refusal:
            problem = json.load(refusal)
            if problem["retry"] not in ("later", "same_key"):
                raise Refused(problem) from None
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.2)
