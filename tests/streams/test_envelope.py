"""Events as bytes, and what is not one."""

import json
from typing import Any

import pytest

from streams.envelope import decode, encode, name_of, new_event
from streams.errors import NewerEvent, UndecodableEvent
from streams.events import ClockTicked, MessageReceived


def message(body: str = "Olá") -> MessageReceived:
    return MessageReceived(sid="SM1", kind="text", body=body, form={})


def written(**changes: Any) -> bytes:
    """An event with some attributes replaced, or left out where they are None."""
    attributes = json.loads(encode(new_event(message(), subject="a|b", source="test")))
    return json.dumps({name: value for name, value in {**attributes, **changes}.items() if value is not None}).encode()


def test_an_event_is_read_as_it_was_written() -> None:
    event = new_event(message(), subject="a|b", source="test", owner="tenant", traceparent="00-1-2-01")
    assert decode(encode(event)) == event


def test_an_event_is_a_structured_cloudevent() -> None:
    attributes = json.loads(encode(new_event(message(), subject="a|b", source="test")))
    assert attributes["specversion"] == "1.0"
    assert attributes["type"] == "prosa.message.received.v1"
    assert attributes["subject"] == attributes["partitionkey"] == "a|b"
    assert attributes["datacontenttype"] == "application/json"


def test_an_effect_continues_the_correlation_of_its_cause() -> None:
    cause = new_event(message(), subject="a|b", source="test", owner="tenant", traceparent="00-1-2-01")
    effect = new_event(message(), subject="a|b", source="test", cause=cause)
    assert (effect.correlation_id, effect.causation_id) == (cause.id, cause.id)
    assert (effect.owner, effect.traceparent) == ("tenant", "00-1-2-01")


@pytest.mark.parametrize("type_", ["prosa.message.received.v2", "prosa.message.received.v9999", "prosa.message.recalled.v1"])
def test_a_version_or_a_name_that_only_a_newer_process_knows_is_newer(type_: str) -> None:
    with pytest.raises(NewerEvent) as raised:
        decode(written(type=type_))
    assert f"prosa.{raised.value}" == type_


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"{}",
        written(type="com.example.thing"),
        written(type=7),
        written(type="prosa.message.received.vX"),
        written(data="text"),
        written(data={}),
        written(data={"sid": "SM1", "kind": "text", "body": 7, "form": {}}),
        written(id=None),
        written(subject=None),
        written(time="yesterday"),
        written(owner=None),
    ],
)
def test_what_is_no_event_is_undecodable(value: bytes) -> None:
    with pytest.raises(UndecodableEvent):
        decode(value)


def test_an_error_names_fields_and_never_their_values() -> None:
    secret = "what the contact wrote"
    with pytest.raises(UndecodableEvent) as raised:
        decode(written(data={"sid": secret, "kind": "text", "body": [secret], "form": secret}))
    assert "body" in str(raised.value)
    assert secret not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_attribute_that_is_not_known_is_let_be() -> None:
    assert decode(written(extension="x")).data == message()


def test_a_name_is_not_guessed_from_what_a_contact_wrote() -> None:
    forged = message('"type":"prosa.clock.ticked.v1"')
    value = encode(new_event(forged, subject="a|b", source='x","type":"prosa.clock.ticked.v1'))
    assert name_of(value) == "message.received"


def test_a_name_that_stands_elsewhere_is_found_by_decoding() -> None:
    tick = json.loads(encode(new_event(ClockTicked(nominal="2026-01-01T00:00:00Z"), subject="partition/1", source="test")))
    last = json.dumps({"data": {**tick["data"], "padding": "x" * 200}, **tick}).encode()
    assert name_of(last) is None
    assert decode(last).data.name == "clock.ticked"
