"""What a press of a button on a phone sends. Pure."""

import re
from base64 import b64encode
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from simulator.inbound import Attachment, InboundMessage
from simulator.phone.contacts import LONGEST_NAME
from simulator.phone.pictures import landscape
from simulator.request_model import RequestModel

_BURST = ("Oi!", "Vocês abrem hoje?", "É para duas pessoas")
_PLACE = {"latitude": -23.561414, "longitude": -46.655881, "label": "MASP", "address": "Av. Paulista, 1578, São Paulo"}
_BUTTON = "Sim, confirmo"


class Press(StrEnum):
    TEXT = "text"
    BURST = "burst"
    IMAGE = "image"
    VOICE = "voice"
    LOCATION = "location"
    BUTTON = "button"


class Pressed(RequestModel):
    """The contact's address is checked with the message that is made of it."""

    contact: str
    name: Annotated[str, Field(max_length=LONGEST_NAME)]
    press: Press
    text: Annotated[str, Field(max_length=4096)] = ""


def messages_of(pressed: Pressed, *, seed: int) -> list[InboundMessage]:
    """Nothing for an empty text. `seed` chooses the photograph. Raises `ValueError` for what is no contact."""
    text = pressed.text.strip()
    match pressed.press:
        case Press.TEXT:
            parts: list[dict[str, Any]] = [{"body": text}] if text else []
        case Press.BURST:
            parts = [{"body": line} for line in _lines(text)]
        case Press.IMAGE:
            picture = Attachment(content_type="image/png", content=b64encode(landscape(seed)).decode())
            parts = [{"type": "image", "body": text, "media": picture}]
        case Press.VOICE:
            parts = [{"type": "voice"}]
        case Press.LOCATION:
            parts = [{"type": "location", **_PLACE}]
        case Press.BUTTON:
            title = text or _BUTTON
            parts = [{"type": "button", "button_text": title, "button_payload": _payload(title)}]
    return [InboundMessage.model_validate({"from": pressed.contact, "profile_name": pressed.name, **each}) for each in parts]


def _lines(text: str) -> list[str]:
    """Each line is a message; where there are fewer than three, some are made up."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [*lines, *_BURST[len(lines) :]]


def _payload(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower()).strip("_") or "button"
