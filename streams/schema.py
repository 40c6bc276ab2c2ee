"""The events as JSON Schema, for those who read the log without our code."""

from typing import Any

from pydantic import TypeAdapter

from streams.events import CATALOGUE

_TEXT = {"type": "string"}


def schema_of(name: str) -> dict[str, Any]:
    """The schema of an event as it stands in the log: structured CloudEvents around the newest version of its data."""
    model = CATALOGUE[name]
    type_ = f"prosa.{name}.v{model.version}"
    data = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
    definitions = data.pop("$defs", {})
    attributes: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": {**_TEXT, "description": "ULID"},
        "type": {"const": type_},
        "source": _TEXT,
        "subject": {**_TEXT, "description": "the thread, or `partition/3`"},
        "time": {**_TEXT, "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "partitionkey": _TEXT,
        "correlationid": _TEXT,
        "causationid": _TEXT,
        "owner": _TEXT,
        "traceparent": _TEXT,
        "data": data,
    }
    optional = {"causationid", "traceparent"}
    required = [attribute for attribute in attributes if attribute not in optional]
    schema = {"title": type_, "type": "object", "properties": attributes, "required": required}
    return {**schema, "$defs": definitions} if definitions else schema
