"""What kind a message is, and how it reads in words: whatever a contact sends, people and the model find text."""

import re
from collections.abc import Mapping, Sequence

from streams.events import Media

_PLACEHOLDERS = {
    "image": "[image]",
    "audio": "[voice message]",
    "video": "[video]",
    "document": "[document]",
    "sticker": "[sticker]",
    "contacts": "[contact card]",
}
_CHOICES = {"button", "interactive"}
_NOT_IN_A_KIND = re.compile(r"[^a-z0-9_.-]+")
_LONGEST_KIND = 40
_COORDINATE = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,20})?")


def kind_of(fields: Mapping[str, str], media: Sequence[Media]) -> str:
    """The message's type as Twilio names it; where it names none, or `text` with a file, what the fields show."""
    named = _NOT_IN_A_KIND.sub("_", fields.get("MessageType", "").strip().lower())[:_LONGEST_KIND]
    if named and not (named == "text" and media):
        return named
    if media:
        family = media[0].content_type.partition("/")[0].lower()
        return family if family in {"image", "audio", "video"} else "document"
    if "Latitude" in fields and "Longitude" in fields:
        return "location"
    return "interactive" if fields.keys() & {"ButtonPayload", "ButtonText", "ListId", "ListTitle"} else "text"


def readable_body(kind: str, fields: Mapping[str, str]) -> str:
    """The message in words: never empty, text as it came, a placeholder with the caption for anything else."""
    written = fields.get("Body", "")
    if kind == "text":
        return written or "[empty message]"
    if kind in _CHOICES:
        return fields.get("ButtonText") or fields.get("ListTitle") or written or "[choice]"
    if kind == "location":
        return f"{_location(fields)} {written}".rstrip()
    placeholder = _PLACEHOLDERS.get(kind, f"[unsupported message: {kind}]")
    return f"{placeholder} {written}".rstrip()


def _location(fields: Mapping[str, str]) -> str:
    place = ", ".join(fields[name] for name in ("Label", "Address") if name in fields)
    point = ", ".join(_coordinate(fields[name]) for name in ("Latitude", "Longitude") if name in fields)
    told = ": ".join(part for part in (point, place) if part)
    return f"[location {told}]" if told else "[location]"


def _coordinate(value: str) -> str:
    """Five decimals are a metre; what is no coordinate is shown as `?`."""
    return f"{float(value):.5f}".rstrip("0").rstrip(".") if _COORDINATE.fullmatch(value) else "?"
