"""The file in which Redis keeps every command: read as it stands on the disk, and cut."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from simulator.servers import EmbeddedValkey


def cut_appends(valkey: EmbeddedValkey, url: str, share: float) -> tuple[int, int]:
    """
    Loses the last appends to the streams of this URL's database, while the server is down: a share of them, one at least.

    Whatever stands after the first of them in the file, of any database, goes too. Returns how many went, and of how many
    since the database was emptied last.
    """
    file = newest_part(valkey)
    places = _appends(file.read_bytes(), int(urlsplit(url).path.strip("/") or 0))
    lost = min(len(places), max(1, round(len(places) * share)))
    if lost:
        os.truncate(file, places[-lost])
    return lost, len(places)


def _appends(commands: bytes, database: int) -> list[int]:
    """Where each append to this database begins in an append-only file, since the last command that emptied the database."""
    places: list[int] = []
    place, selected = 0, 0
    while place < len(commands):
        begin, words = place, []
        if commands[place : place + 1] == b"#":  # a time stamp
            place = commands.index(b"\r\n", place) + 2
            continue
        count, place = _number(commands, place)
        for _ in range(count):
            length, place = _number(commands, place)
            words.append(commands[place : place + length])
            place += length + 2
        match words[0].upper():
            case b"SELECT":
                selected = int(words[1])
            case b"FLUSHALL":
                places.clear()
            case b"FLUSHDB" if selected == database:
                places.clear()
            case b"XADD" if selected == database:
                places.append(begin)
    return places


def _number(commands: bytes, place: int) -> tuple[int, int]:
    """The number in the line here, after its first letter, and where the next line begins."""
    end = commands.index(b"\r\n", place)
    return int(commands[place + 1 : end]), end + 2


def newest_part(valkey: EmbeddedValkey) -> Path:
    """Of the file's parts the one to which the server appends."""
    return max(valkey.directory.path.glob("appendonlydir/*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
