#!/usr/bin/env python3
"""User profiles kept as events: whatever happens is appended to a topic, and a profile is what the events add up to.

profile.mjs has the same fold in JavaScript. Both need nothing but what their language brings along.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

URL = os.environ.get("TIDEGATE_URL", "http://127.0.0.1:8080")
TOPIC = URL + "/v1/topics/profile-events"
DAY_MS = 86_400_000
PATIENCE_S = 60

Profile = dict[str, Any]
Profiles = dict[str, Profile]
Record = dict[str, Any]


class Conflict(Exception):
    """Another event has this user's version already."""


def apply(profile: Profile | None, event: dict[str, Any]) -> Profile | None:
    """The profile after one more event.

    Only the version that comes next counts. So it does no harm if an event was appended twice, and of two that claim the
    same version everybody takes the first.
    """
    if event["version"] != (profile["version"] if profile else 0) + 1:
        return profile
    now = {**(profile or {}), "version": event["version"]}
    data = event["data"]
    match event["type"]:
        case "registered":
            return {**now, "name": data["name"], "email": data["email"], "email_confirmed": False, "newsletter": False}
        case "email_changed":
            return {**now, "email": data["email"], "email_confirmed": False}
        case "email_confirmed":
            return {**now, "email_confirmed": True}
        case "name_changed":
            return {**now, "name": data["name"]}
        case "address_changed":
            return {**now, "address": data}
        case "newsletter_changed":
            return {**now, "newsletter": data["subscribed"]}
        case "closed":
            return {"version": event["version"], "closed": True}
        case _:
            # A kind that came after this program: nothing here depends on it.
            return now


def fold(profiles: Profiles, records: Iterator[Record]) -> int:
    """Takes records into the profiles; how many there were."""
    count = 0
    for record in records:
        count += 1
        profile = apply(profiles.get(record["key"]), record["value"])
        if profile is not None:
            profiles[record["key"]] = profile
    return count


def call(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
) -> tuple[bytes, Message]:
    """One request, again and again while nobody answers, or the answer says that it may be sent again."""
    end = time.monotonic() + PATIENCE_S
    waits = False
    while True:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as refusal:
            problem = json.load(refusal)
            if problem["code"] == "idempotency_key_reused":
                raise Conflict from None
            if problem["retry"] not in ("later", "same_key") or time.monotonic() > end:
                sys.exit(f"{problem['code']}: {problem['detail']}")
        except (OSError, http.client.HTTPException) as why:
            if time.monotonic() > end:
                sys.exit(f"no gateway at {URL}: start one, or name it in TIDEGATE_URL ({why})")
            if not waits:
                print(f"waiting for the gateway at {URL}: {why}", file=sys.stderr)
                waits = True
        time.sleep(0.2)


def read(**query: str) -> tuple[Iterator[Record], str]:
    """The records that there are, and the cursor behind them."""
    body, headers = call(f"{TOPIC}/records?{urlencode({'format': 'ndjson', **query})}")
    return map(json.loads, body.splitlines()), headers["Tidegate-Cursor"]


def append(user: str, event: dict[str, Any], at: int | None = None) -> None:
    """Appends one event, once, however often it is sent; or says that another one has its version.

    The idempotency key does both: the same event again is answered with the first receipt, another one is refused.
    """
    query = {"key": user, **({"timestamp": str(at)} if at is not None else {})}
    call(f"{TOPIC}/values?{urlencode(query)}", json.dumps(event).encode(), {"Idempotency-Key": f"{user}:{event['version']}"})


def create_topic() -> None:
    """The events are the truth, so none is ever dropped: the default would be seven days."""
    call(TOPIC, json.dumps({"partition_count": 4, "retention_ms": -1}).encode(), method="PUT")


def load(now: int) -> None:
    """Appends events from standard input, a line each, as if the last of them had happened just before `now`."""
    create_topic()
    appended = there = 0
    for line in sys.stdin:
        event = json.loads(line)
        at = now - round(event.pop("days_ago") * DAY_MS)
        try:
            append(event.pop("user"), event, at)
            appended += 1
        except Conflict:
            there += 1
    print(f"{appended} events are in the log" + (f", {there} others were there before" if there else ""))


def profiles_of(user: str | None = None, as_of: int | None = None) -> Profiles:
    """All profiles, or only a user's, now or as they were: what the events up to that time add up to.

    For one user only that user's partition is searched.
    """
    records, _ = read(key=user) if user else read()
    profiles: Profiles = {}
    fold(profiles, (record for record in records if as_of is None or record["timestamp"] <= as_of))
    return profiles


def snapshot(path: Path) -> Profiles:
    """All profiles as they are now, from the snapshot at `path` and what came after it; which is then the new snapshot."""
    profiles: Profiles = {}
    behind: dict[str, str] = {}
    if path.exists():
        kept = json.loads(path.read_bytes())
        profiles, behind = kept["profiles"], {"cursor": kept["cursor"]}
    records, cursor = read(**behind)
    count = fold(profiles, records)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"cursor": cursor, "profiles": profiles}))
    new.replace(path)
    print(f"read {count} events", file=sys.stderr)
    return profiles


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def history(user: str) -> None:
    for record in read(key=user)[0]:
        event = record["value"]
        when = datetime.fromtimestamp(record["timestamp"] / 1000, UTC)
        data = json.dumps(event["data"], ensure_ascii=False)
        print(f"{when:%Y-%m-%d %H:%M}  {event['version']:>3}  {event['type']:<18}  {data}")


def moment(text: str) -> int:
    """Milliseconds since 1970: of an RFC 3339 time (UTC if it does not say), of themselves, or of days ago (`7d`)."""
    if ago := re.fullmatch(r"(\d+)d", text):
        return time.time_ns() // 1_000_000 - int(ago[1]) * DAY_MS
    if text.isdigit():
        return int(text)
    when = datetime.fromisoformat(text)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("load", help="append events from standard input, a line each")
    command.add_argument("--now", type=moment, default=moment("0d"), help="when the last of them has just happened")
    command = commands.add_parser("show", help="a user's profile, or everybody's")
    command.add_argument("user", nargs="?")
    when = command.add_mutually_exclusive_group()
    when.add_argument("--as-of", type=moment, help="as it was then: an RFC 3339 time, milliseconds, or 7d for a week ago")
    when.add_argument("--snapshot", type=Path, help="go on from this file, and keep it up to date")
    command = commands.add_parser("history", help="a user's events")
    command.add_argument("user")
    command = commands.add_parser("append", help="append an event behind those that there are")
    command.add_argument("user")
    command.add_argument("type")
    command.add_argument("data", type=json.loads, help="a JSON object")
    command = commands.add_parser("snapshot", help="write all profiles to a file, or bring it up to date")
    command.add_argument("file", type=Path)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    match asked.command:
        case "load":
            load(asked.now)
        case "show":
            profiles = snapshot(asked.snapshot) if asked.snapshot else profiles_of(asked.user, asked.as_of)
            if asked.user and asked.user not in profiles:
                sys.exit(f"there is no {asked.user}" + (" at that time" if asked.as_of else ""))
            print_json(profiles[asked.user] if asked.user else dict(sorted(profiles.items())))
        case "history":
            history(asked.user)
        case "append":
            version = profiles_of(asked.user).get(asked.user, {"version": 0})["version"] + 1
            try:
                append(asked.user, {"version": version, "type": asked.type, "data": asked.data})
            except Conflict:
                sys.exit(f"{asked.user} has changed meanwhile: look, and decide again")
            print(f"{asked.user} is at version {version}")
        case "snapshot":
            snapshot(asked.file)


if __name__ == "__main__":
    main()
