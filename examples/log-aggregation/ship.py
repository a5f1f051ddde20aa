#!/usr/bin/env python3
"""Follows log files and sends their lines: LOGS/TEAM/SERVICE.log goes to the topic logs.TEAM, under the key SERVICE.

    ship.py LOGS STATE

Each line becomes one record, once and in order, whatever is killed meanwhile: what is to be sent is written to STATE, with the
idempotency key that it is sent under, before it is sent. Files are found by LOGS/*/*.log, also those that come later. They may
be rotated by renaming them to NAME.* (without compression until they have been read).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import gateway

CHUNK_BYTES = 1 << 20
CHUNK_LINES = 5_000
# A line; or as much of a longer one as safely fits in a record when all of it has to be escaped.
LINE = re.compile(rb"[^\n]{0,131072}\n|[^\n]{131072}")
LINE_OR_REST = re.compile(LINE.pattern + rb"|[^\n]+\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)?")
COMPRESSED = (".gz", ".xz", ".zst", ".bz2")
# A record's timestamp may lie an hour ahead of the gateway's clock, which need not be this one.
AHEAD_MS = 1_800_000


@dataclass
class Chunk:
    """Bytes of a file that are sent with one request; those before `start` have been sent. Kept in STATE."""

    file: str
    start: int
    end: int
    key: str
    at: int


class Generation(NamedTuple):
    """A file of a log that is rotated: where it was just now, what it is, and when it was last written to."""

    path: Path
    inode: int
    written: int


def identity(file: BinaryIO) -> str | None:
    """Tells a file from others, also after it was renamed; None until its first line is there.

    The inode alone would not do: it is given to another file once this one is deleted.
    """
    head = os.pread(file.fileno(), 1024, 0)
    first, newline, _ = head.partition(b"\n")
    if not newline and len(head) < 1024:
        return None
    return f"{os.fstat(file.fileno()).st_ino}-{hashlib.sha256(first).hexdigest()[:16]}"


def millis(line: str) -> int | None:
    """The time that a line begins with; without a zone it is local time, as in /var/log."""
    found = TIME.match(line)
    try:
        return round(datetime.fromisoformat(found[0].replace(",", ".")).timestamp() * 1000) if found else None
    except ValueError:
        return None


class Follower:
    """One service's log."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path = path
        self.topic = f"logs.{path.parent.name}"
        self.service = path.stem
        self.state = state / f"{path.parent.name}.{path.stem}.json"
        self.chunk = Chunk(**json.loads(self.state.read_bytes())) if self.state.exists() else None
        self.file: BinaryIO | None = None

    def step(self) -> bool:
        """Sends what is there, a chunk at most; whether there was anything to do."""
        if self.file is None and not self.begin():
            return False
        assert self.file and self.chunk
        if self.chunk.start < self.chunk.end:
            # A former run may have sent it, or not.
            self.send()
            return True
        if os.fstat(self.file.fileno()).st_size < self.chunk.start:
            print(f"{self.path} was cut: lines may be missing", file=sys.stderr)
            self.chunk.start = self.chunk.end = 0
        # Looked for before the file is read: once the next one is written to, this one has all it will ever have.
        successor = self.successor()
        lines = self.lines(LINE, CHUNK_BYTES)
        if not lines and successor:
            lines = self.lines(LINE_OR_REST, CHUNK_BYTES)
        if lines:
            end = self.chunk.start + sum(map(len, lines))
            self.chunk = Chunk(self.chunk.file, self.chunk.start, end, str(uuid.uuid4()), time.time_ns() // 1_000_000)
            self.save()
            self.send()
            return True
        return successor is not None and self.follow(successor)

    def lines(self, pattern: re.Pattern[bytes], size: int) -> list[bytes]:
        assert self.file and self.chunk
        return pattern.findall(os.pread(self.file.fileno(), size, self.chunk.start))[:CHUNK_LINES]

    def send(self) -> None:
        """The same bytes under the same key, however often: so they are written once."""
        assert self.chunk
        records, at = [], self.chunk.at
        for line in self.lines(LINE_OR_REST, self.chunk.end - self.chunk.start):
            record: dict[str, object] = {"key": self.service}
            if not line.endswith(b"\n"):
                record["headers"] = {"newline": "none"}
            try:
                record["value"] = text = line.removesuffix(b"\n").decode()
                # A line without a time, as in a traceback, has that of the line before.
                at = min(millis(text) or at, self.chunk.at + AHEAD_MS)
            except UnicodeDecodeError:
                record["value_base64"] = base64.b64encode(line.removesuffix(b"\n")).decode()
            records.append(json.dumps(record | {"timestamp": max(at, 0)}, ensure_ascii=False))
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": self.chunk.key}
        gateway.post(f"/v1/topics/{self.topic}/records?atomic=true", "\n".join(records).encode(), headers)
        self.chunk.start = self.chunk.end
        self.save()

    def save(self) -> None:
        assert self.chunk
        new = self.state.with_suffix(".new")
        with new.open("w") as file:
            json.dump(asdict(self.chunk), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.state)

    def begin(self) -> bool:
        """Finds the file to go on with, or the oldest one; whether there is one."""
        files = self.generations()
        if self.chunk:
            if any(self.follow(file, self.chunk) for file in files):
                return True
            print(f"{self.path}: the file that was read last is gone: lines may be missing", file=sys.stderr)
            files = [file for file in files if file.written > self.chunk.at * 1_000_000]
            self.chunk = None
        return bool(files) and self.follow(files[0])

    def generations(self) -> list[Generation]:
        """The log's files that are neither empty nor compressed, the one that was written to last at the end."""
        found = []
        for path in [*self.path.parent.glob(f"{self.path.name}[.-]*"), self.path]:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if status.st_size and path.suffix not in COMPRESSED:
                found.append(Generation(path, status.st_ino, status.st_mtime_ns))
        return sorted(found, key=lambda file: file.written)

    def successor(self) -> Generation | None:
        """The file that was written after this one, if this one was renamed: not always the newest, after two rotations."""
        assert self.file
        mine = os.fstat(self.file.fileno())
        try:
            if self.path.stat().st_ino == mine.st_ino:
                return None
        except FileNotFoundError:
            pass
        return next((file for file in self.generations() if file.written >= mine.st_mtime_ns and file.inode != mine.st_ino), None)

    def follow(self, generation: Generation, chunk: Chunk | None = None) -> bool:
        """Goes on with a file: from its beginning, or behind a chunk if it is the one that the chunk is of."""
        try:
            file = generation.path.open("rb")
        except FileNotFoundError:
            return False
        name = identity(file)
        renamed = os.fstat(file.fileno()).st_ino != generation.inode
        if renamed or name is None or (chunk and chunk.file != name):
            file.close()
            return False
        if self.file:
            self.file.close()
        self.file, self.chunk = file, chunk or Chunk(name, 0, 0, "", 0)
        return True


def main() -> None:
    logs, state = Path(sys.argv[1]), Path(sys.argv[2])
    state.mkdir(parents=True, exist_ok=True)
    followers: dict[Path, Follower] = {}
    while True:
        for path in sorted(logs.glob("*/*.log")):
            followers.setdefault(path, Follower(path, state))
        if not any([follower.step() for follower in followers.values()]):
            time.sleep(0.2)


if __name__ == "__main__":
    try:
        main()
    except gateway.Refused as refusal:
        sys.exit(f"ship.py: {refusal}")
    except KeyboardInterrupt:
        sys.exit(130)
