"""What docs/simulator.md tells holds."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]

from simulator.faults import CallbackFaults, CreateFaults, FaultPlan, InboundFaults, ListingFaults
from simulator.inbound import SHORT_NAMES, InboundMessage
from simulator.ledger import Kind
from simulator.model.faults import ModelFaults
from tests.simulator.stand_in import Door, StandIn

TOLD = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
FIELDS = TOLD.partition("## A contact over HTTP")[2].partition("## ")[0]
SECTIONS: dict[str, type[BaseModel]] = {
    "create": CreateFaults,
    "callbacks": CallbackFaults,
    "inbound": InboundFaults,
    "listing": ListingFaults,
    "model": ModelFaults,
}
GENERAL = {"rates", "slow_seconds", "hang_seconds"}
"""Told once for all."""


async def called_as_shown(stand_in: StandIn, path: str) -> dict[str, Any]:
    """The curl call of this path, with exactly the headers and the body that are shown."""
    [shown] = re.findall(rf"^curl http://127\.0\.0\.1:8010(/{path}\S* .*?\n\}}')$", TOLD, re.DOTALL | re.MULTILINE)
    address, *options = shlex.split(shown)
    headers = dict(value.split(": ") for option, value in pairwise(options) if option == "-H")
    [body] = [value for option, value in pairwise(options) if option == "-d"]
    async with stand_in.http.post(f"{stand_in.url}{address}", headers=headers, data=body) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def test_the_plan_that_is_shown_is_taken(stand_in: StandIn) -> None:
    await called_as_shown(stand_in, "simulator/faults")
    assert await stand_in.control("GET", "faults") != FaultPlan().model_dump(mode="json", by_alias=True)


async def test_the_message_that_is_shown_is_written(stand_in: StandIn, door: Door) -> None:
    answer = await called_as_shown(stand_in, "simulator/messages")
    [post] = door.posts
    assert (post.form["MessageSid"], post.form["Body"], post.form["ProfileName"]) == (answer["sid"], "Oi!", "Ana")
    assert (answer["webhook_status"], len(answer["webhooks"])) == (200, 1)


async def test_the_phone_that_is_shown_is_changed(stand_in: StandIn) -> None:
    changed = await called_as_shown(stand_in, "simulator/phones")
    assert (changed["is_opted_out"], changed["has_read_receipts"]) == (True, False)
    with pytest.raises(TwilioRestException) as refusal:
        await stand_in.send(to=changed["address"])
    assert refusal.value.code == 21610


async def test_the_question_that_is_shown_is_answered(stand_in: StandIn) -> None:
    answer = await called_as_shown(stand_in, "model/v1/chat/completions")
    assert "Oi!" in answer["choices"][0]["message"]["content"]


def test_every_field_of_a_message_is_told() -> None:
    names = {field.alias or name for name, field in InboundMessage.model_fields.items()}
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", FIELDS, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == names


async def test_the_parts_of_a_message_that_are_shown_are_taken(stand_in: StandIn, door: Door) -> None:
    rows = re.findall(r"^\| .*`(\w+)` \|.*?`(\{.*?\})`", FIELDS, re.MULTILINE)
    assert [name for name, _ in rows] == ["media", "referral", "extra"]
    await stand_in.write(**{name: json.loads(part) for name, part in rows})
    [post] = door.posts
    told = ("MediaContentType0", "ReferralHeadline", "NumSegments")
    assert [post.form[name] for name in told] == ["image/png", "Mesa para dois", "2"]


async def test_every_type_of_a_message_that_is_told_is_taken(stand_in: StandIn, door: Door) -> None:
    [row] = re.findall(r"^\| `type` \|(.*);", TOLD, re.MULTILINE)
    types = re.findall(r"`(\w+)`", row)
    for each in types:
        await stand_in.write(type=each)
    assert [post.form["MessageType"] for post in door.posts] == [SHORT_NAMES.get(each, each) for each in types]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_fault_of_a_section_is_told(section: str) -> None:
    [row] = re.findall(rf"^\| `{section}` \|(.*)\|$", TOLD, re.MULTILINE)
    names = {field.alias or name for name, field in SECTIONS[section].model_fields.items()} - GENERAL
    assert names <= set(re.findall(r"`(\w+)`", row))


def test_every_section_is_told() -> None:
    assert set(FaultPlan.model_fields) - {"seed", "listing_delay_seconds"} == SECTIONS.keys()


@pytest.mark.parametrize("kind", [Kind.FAULT_HAPPENED, Kind.MESSAGE_DROPPED, Kind.MODEL_ASKED])
def test_the_ledgers_words_are_the_ones_that_are_told(kind: Kind) -> None:
    assert f"`{kind}`" in TOLD
