"""Values to HTML. Everything is escaped: no filter and no template here marks a text as safe."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from simulator.phone.beside import Deadline

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"

STATUSES = frozenset({"pending", "active", "idle", "handoff", "expired", "closed"})
DRAWN_PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
"""What is shown as a picture; everything else is named only."""

_INVISIBLE = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]*"
)
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "visible": visible,
        "hour": hour,
        "day": day,
        "iso": iso,
        "until": until,
        "ahead": ahead,
        "words": words,
    }
    made.globals |= {"drawn_pictures": DRAWN_PICTURES}
    return made


def rendered(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def visible(text: str) -> str:
    """Control characters as pictures of themselves, and something to see where a whole text shows nothing."""
    if text and _INVISIBLE.fullmatch(text):
        return " ".join(f"U+{ord(character):04X}" for character in text[:8]) + (" …" if len(text) > 8 else "")
    return text.translate(_CONTROLS)


def hour(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%H:%M}"


def day(at: float) -> str:
    """With its year where that is not this one."""
    moment = datetime.fromtimestamp(at)
    told = f"{moment.day} {moment:%B}"
    return told if moment.year == datetime.now().year else f"{told} {moment.year}"


def iso(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def until(deadline: Deadline, now_ms: int) -> str:
    """How long it is still."""
    left = (deadline.at_ms - now_ms) // 1000
    return f"{deadline.coming} {length(left)}" if left > 0 else deadline.passed


def ahead(milliseconds: int) -> str:
    """How far log time has been moved."""
    return length(milliseconds // 1000)


def words(change: str) -> Sequence[tuple[str, str]]:
    """A change word by word, each with the status that it names, where the change is one of status."""
    named = change.startswith("status ")
    return [(word, word if named and word in STATUSES else "") for word in change.split(" ")]


def length(seconds: int) -> str:
    """How long that is: in two units at most, and in seconds only within the last two minutes."""
    if seconds < 120:
        return f"{seconds} s"
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min"
