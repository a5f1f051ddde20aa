#!/usr/bin/env python3
"""A member of the group `archive`: writes each service's lines to OUT/DAY/TEAM/SERVICE.log, each once and in order.

    archive.py OUT MEMBER

Start it as often as you like, with a name for each: the members share the partitions of all topics logs.*.

The group hands out a record again if a member dies before it has committed it. That does no harm here: what a file has to
hold is a function of the log alone, so a record that comes again is written again to the place where it is. The place is known
from a checkpoint, which tells for an offset how long each file was before it. It is written before the offset is committed, and
two members that ever write the same one write the same.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gateway

Record = dict[str, Any]


def line(record: Record) -> bytes:
    """The bytes that the record was made of."""
    if "value_base64" in record:
        text = base64.b64decode(record["value_base64"])
    elif isinstance(record["value"], str):
        text = record["value"].encode()
    else:
        text = json.dumps(record["value"], ensure_ascii=False).encode()
    return text if record.get("headers", {}).get("newline") == "none" else text + b"\n"


def file_of(record: Record) -> str:
    """Where a record belongs. Its key is no path: it may be anything."""
    day = datetime.fromtimestamp(record["timestamp"] / 1000, UTC).date()
    team = record["topic"].removeprefix("logs.")
    service = quote(str(record.get("key", record.get("key_base64", "none"))), safe="")
    return f"{day}/{team}/{service}.log"


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_at(path: Path, position: int, data: bytearray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        while data:
            written = os.pwrite(handle, data, position)
            position, data = position + written, data[written:]
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass
class Checkpoint:
    """How long the files are that a partition's records before an offset make up."""

    offset: int
    lengths: dict[str, int]


class Archive:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.checkpoints = out / ".checkpoints"
        self.at: dict[tuple[str, int], Checkpoint] = {}

    def write(self, records: list[Record]) -> None:
        """Writes a page: all of it is on disk when this returns."""
        partitions: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            partitions[record["topic"], record["partition"]].append(record)
        for partition, page in partitions.items():
            lengths = dict(self.before(partition, page[0]["offset"]).lengths)
            files: dict[str, bytearray] = defaultdict(bytearray)
            for record in page:
                files[file_of(record)] += line(record)
            for name, data in files.items():
                write_at(self.out / name, lengths.get(name, 0), data)
                lengths[name] = lengths.get(name, 0) + len(data)
            for directory in {(self.out / name).parent for name in files}:
                sync(directory)
                sync(directory.parent)
            self.at[partition] = Checkpoint(page[-1]["offset"] + 1, lengths)
            self.keep(partition, self.at[partition])

    def before(self, partition: tuple[str, int], offset: int) -> Checkpoint:
        """The checkpoint of an offset: the one just made, or that of the member who had the partition before."""
        known = self.at.get(partition)
        if known and known.offset == offset:
            return known
        kept = self.kept(partition)
        if offset in kept:
            return Checkpoint(offset, json.loads(kept[offset].read_bytes()))
        if kept:
            sys.exit(f"{self.out} has no checkpoint of offset {offset} of {partition}: the group has written another archive")
        return Checkpoint(offset, {})

    def directory(self, partition: tuple[str, int]) -> Path:
        return self.checkpoints / partition[0] / str(partition[1])

    def kept(self, partition: tuple[str, int]) -> dict[int, Path]:
        return {int(path.stem): path for path in self.directory(partition).glob("*.json")}

    def keep(self, partition: tuple[str, int], checkpoint: Checkpoint) -> None:
        path = self.directory(partition) / f"{checkpoint.offset}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(checkpoint.lengths))
        sync(new)
        new.replace(path)
        sync(path.parent)

    def committed(self, records: list[Record]) -> None:
        """The checkpoints before those of this page are of no use any more: the group never goes back by itself."""
        for partition in {(record["topic"], record["partition"]) for record in records}:
            for offset, path in self.kept(partition).items():
                if offset < self.at[partition].offset:
                    path.unlink(missing_ok=True)


def main() -> None:
    archive, member = Archive(Path(sys.argv[1])), sys.argv[2]
    poll, content_type = f"/v1/groups/archive/members/{member}/poll", {"Content-Type": "application/json"}
    begin: dict[str, Any] = {"topic_prefix": "logs.", "max_records": 5000, "wait_ms": 5000}
    ask = begin
    written: list[Record] = []
    while True:
        try:
            # Commits what the last answer brought, and brings more.
            body = gateway.post(poll, json.dumps(ask).encode(), content_type)
        except gateway.Refused as refusal:
            if refusal.retry != "rejoin":
                sys.exit(f"archive.py: {refusal}")
            # Another has the partitions: this one took too long, or its name was taken.
            ask, written = begin, []
            continue
        archive.committed(written)
        answer = json.loads(body)
        written = answer["records"]
        archive.write(written)
        ask = {"cursor": answer["cursor"], "max_records": 5000, "wait_ms": 5000}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
