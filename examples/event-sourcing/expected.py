#!/usr/bin/env python3
"""What the profiles have to be, for the test: computed from the file of events, and in another way than by folding.

    expected.py EVENTS DAYS_AGO

Each member of a profile is looked up from the end: the newest event that says something about it decides.
"""

import json
import sys
from typing import Any

Event = dict[str, Any]


def expected(events: list[Event]) -> dict[str, Any]:
    def last(*types: str) -> Event:
        return next(event for event in reversed(events) if event["type"] in types)

    if events[-1]["type"] == "closed":
        return {"version": len(events), "closed": True}
    return {
        "version": len(events),
        "name": last("registered", "name_changed")["data"]["name"],
        "email": last("registered", "email_changed")["data"]["email"],
        "email_confirmed": last("registered", "email_changed", "email_confirmed")["type"] == "email_confirmed",
        "newsletter": last("registered", "newsletter_changed")["data"].get("subscribed", False),
        **({"address": last("address_changed")["data"]} if any(event["type"] == "address_changed" for event in events) else {}),
    }


with open(sys.argv[1], encoding="utf-8") as lines:
    events = [event for event in map(json.loads, lines) if event["days_ago"] >= float(sys.argv[2])]
users = sorted({event["user"] for event in events})
profiles = {user: expected([event for event in events if event["user"] == user]) for user in users}
print(json.dumps(profiles, indent=2, ensure_ascii=False))
