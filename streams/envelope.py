"""Events as bytes: CloudEvents 1.0, structured JSON."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json
from ulid import ULID

from streams.errors import NewerEvent, UndecodableEvent
from streams.events import CATALOGUE, AnyEventData, Event
from streams.upcasters import upcast

_TYPE = re.compile(r"prosa\.([a-z_]+\.[a-z_]+)\.v([0-9]{1,4})")
_TYPE_NEAR_THE_START = re.compile(rb'"type":"prosa\.([a-z_]+\.[a-z_]+)\.v[0-9]{1,4}"')
_TYPE_WITHIN_BYTES = 160


def new_event(
    data: AnyEventData,
    *,
    subject: str,
    source: str,
    owner: str = "default",
    cause: Event | None = None,
    traceparent: str | None = None,
) -> Event:
    """Make an event now. It continues the correlation of its cause, or starts one of its own."""
    identifier = str(ULID())
    return Event(
        id=identifier,
        source=source,
        subject=subject,
        time=datetime.now(UTC),
        correlation_id=cause.correlation_id if cause else identifier,
        causation_id=cause.id if cause else None,
        owner=cause.owner if cause else owner,
        traceparent=traceparent or (cause.traceparent if cause else None),
        data=data,
    )


def encode(event: Event) -> bytes:
    """Write an event; the same event always gives the same bytes."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": event.time,
        "datacontenttype": "application/json",
        "partitionkey": event.subject,
        "correlationid": event.correlation_id,
        "causationid": event.causation_id,
        "owner": event.owner,
        "traceparent": event.traceparent,
    }
    present = {name: value for name, value in attributes.items() if value is not None}
    return to_json({**present, "data": event.data.model_dump(mode="json")})


def decode(value: bytes) -> Event:
    """
    Read an event of any version known here, as its newest one.

    Raises `NewerEvent` for a version or a name of ours that only a newer process can know, `UndecodableEvent` for anything else.
    """
    attributes = _attributes(value)
    name, version = _name_and_version(attributes.get("type"))
    model = CATALOGUE.get(name)
    if model is None or version > model.version:
        raise NewerEvent(f"{name}.v{version}")
    try:
        return Event(
            id=attributes["id"],
            source=attributes["source"],
            subject=attributes["subject"],
            time=attributes["time"],
            correlation_id=attributes["correlationid"],
            causation_id=attributes.get("causationid"),
            owner=attributes["owner"],
            traceparent=attributes.get("traceparent"),
            data=model.model_validate(upcast(name, version, attributes["data"])),
        )
    except KeyError as missing:
        raise UndecodableEvent(f"attribute {missing} is missing") from None
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False)[:5])
        raise UndecodableEvent(f"{name}.v{version}: {fields}") from None


def name_of(value: bytes) -> str | None:
    """The event's name without decoding the rest, or None where it is not told at a glance."""
    found = _TYPE_NEAR_THE_START.search(value, 0, _TYPE_WITHIN_BYTES)
    return found.group(1).decode() if found else None


def _attributes(value: bytes) -> Mapping[str, Any]:
    try:
        attributes = from_json(value)
    except ValueError:
        raise UndecodableEvent("not JSON") from None
    if not isinstance(attributes, dict) or not isinstance(attributes.get("data"), dict):
        raise UndecodableEvent("not a structured CloudEvent")
    return attributes


def _name_and_version(type_: object) -> tuple[str, int]:
    found = _TYPE.fullmatch(type_) if isinstance(type_, str) else None
    if found is None:
        raise UndecodableEvent("not an event type of ours")
    return found.group(1), int(found.group(2))
