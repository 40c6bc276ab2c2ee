"""The switch panel: what can go wrong on purpose, as a list. A new fault needs one line here."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from simulator.faults import FaultPlan

ALWAYS = 1_000_000
"""A counter that nobody uses up."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One position of a switch."""

    label: str
    value: Any


@dataclass(frozen=True, slots=True)
class Switch:
    """
    A place in the fault plan, and the positions it may have beside `off`.

    `is_once` marks what is used up: it goes back by itself. With one position it is shown as a check box.
    """

    path: tuple[str, ...]
    label: str
    meaning: str
    settings: tuple[Setting, ...]
    off: Any = 0
    is_once: bool = False

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    meaning: str
    switches: tuple[Switch, ...]


def _on(value: Any) -> tuple[Setting, ...]:
    return (Setting("on", value),)


def _create(fault: str, label: str, meaning: str) -> Switch:
    return Switch(("create", fault), label, meaning, _on(1), is_once=True)


def _next(section: str, fault: str, label: str, meaning: str) -> Switch:
    settings = (Setting("the next", 1), Setting("the next 5", 5), Setting("every one", ALWAYS))
    return Switch((section, fault), label, meaning, settings)


def _code(section: str, place: str, label: str, meaning: str, codes: tuple[int, ...], **more: int) -> Switch:
    settings = tuple(Setting(f"{code}", {"code": code, **more, "n": 1}) for code in codes)
    return Switch((section, place), label, meaning, settings, off=None, is_once=True)


_SECONDS = (Setting("2 s", 2.0), Setting("10 s", 10.0), Setting("60 s", 60.0))
_SHARES = (Setting("half of them", 0.5), Setting("all of them", 1.0))
_WAITS = (Setting("1 s", 1), Setting("5 s", 5), Setting("30 s", 30))

GROUPS: Sequence[Group] = (
    Group(
        "What contacts write",
        "webhooks twice, late or never",
        (
            Switch(("inbound", "duplicate_rate"), "Post each message twice", "Twilio calls the webhook two times.", _on(1.0)),
            Switch(("inbound", "copies_after_seconds"), "The second time later", "Not at the same moment.", _SECONDS),
            Switch(("inbound", "replay_rate"), "An old one again", "With each message an older one is posted again.", _on(1.0)),
            Switch(("inbound", "lost"), "Never post the next one", "Only Twilio's list has it.", _on(1), is_once=True),
            Switch(("inbound", "lost_rate"), "Never posted", "As if the webhook were out of reach.", _SHARES),
        ),
    ),
    Group(
        "Statuses",
        "late, lost, twice, in disorder",
        (
            Switch(("callbacks", "read_receipts"), "No read receipts", "Contacts hide that they read.", _on(False), off=True),
            Switch(("callbacks", "delay_seconds"), "Late", "Each status comes after so long.", _SECONDS),
            Switch(("callbacks", "jitter_seconds"), "Out of order", "Up to so much later, each for itself.", _SECONDS),
            Switch(("callbacks", "at_once_rate"), "All at once", "Held back to the last, then at the same moment.", _on(1.0)),
            Switch(("callbacks", "reversed_rate"), "In reverse", "Held back to the last, which comes first.", _on(1.0)),
            Switch(("callbacks", "duplicate_rate"), "Each one twice", "As Twilio does now and then.", _on(1.0)),
            Switch(("callbacks", "lost_rate"), "Lost", "They never come.", _SHARES),
            _code("callbacks", "fail", "The next message fails", "Taken, and never delivered.", (63016, 63018, 63024)),
        ),
    ),
    Group(
        "The next send",
        "refused, broken off, slow",
        (
            _create("429", "Too many requests", "Refused with 429."),
            Switch(("create", "retry_after_seconds"), "… and told to wait", "What a 429 says.", _WAITS, off=None),
            _create("500_before", "500, not sent", "An error, and no message."),
            _create("500_after", "500, but sent", "An error, although the message goes out."),
            _create("reset_before", "Broken off, not sent", "The connection is reset."),
            _create("reset_after", "Broken off, but sent", "The answer is lost, the message goes out."),
            _create("hang_before", "No answer, not sent", "The connection hangs, and no message."),
            _create("hang_after", "No answer, but sent", "The connection hangs, the message goes out."),
            _create("slow", "Slow, and sent", "The message goes out, the answer comes after 10 s."),
            _create("late", "Sent late", "The message goes out after 10 s, whoever waits."),
            _code("create", "reject", "Refused", "Twilio answers with this code.", (21211, 21610, 63016), status=400),
        ),
    ),
    Group(
        "The list of messages",
        "where lost messages are looked for",
        (
            Switch(("listing_delay_seconds",), "Shows sends late", "What was sent is listed only after so long.", _SECONDS),
            _next("listing", "429", "Too many requests", "A page is refused with 429."),
            _next("listing", "500", "500", "An error instead of a page."),
            _next("listing", "garbled", "Half a page", "The answer breaks off, with status 200."),
            _next("listing", "reset", "Broken off", "The connection is reset."),
            _next("listing", "hang", "No answer", "The connection hangs."),
        ),
    ),
    Group(
        "The model",
        "where AI_MODEL is openai:simulated",
        (
            _next("model", "429", "Too many requests", "Refused with 429, to come back after 1 s."),
            _next("model", "500", "500", "An error instead of an answer."),
            _next("model", "slow", "Slow", "The answer comes after 10 s."),
            _next("model", "hang", "No answer", "The connection hangs."),
            _next("model", "reset_midway", "Broken off", "The connection is reset in the middle."),
            _next("model", "empty", "Says nothing", "An answer without a word."),
            _next("model", "not_json", "Not JSON", "A page of HTML instead of an answer."),
            _next("model", "megabyte", "A megabyte", "An answer without measure."),
            _next("model", "tool_calls", "Endless tool calls", "It asks for a tool that nobody has."),
        ),
    ),
)

SWITCHES: Mapping[str, Switch] = {switch.name: switch for group in GROUPS for switch in group.switches}


def board_of(plan: FaultPlan) -> dict[str, Any]:
    return plan.model_dump(mode="json", by_alias=True)


def position(switch: Switch, board: Mapping[str, Any]) -> int | None:
    """
    Which setting it has; None when it is off.

    A value that is not in the list, set by somebody else or partly used up, counts as the next larger one, or else as the first.
    """
    value: Any = board
    for part in switch.path:
        value = value[part]
    if value == switch.off or (isinstance(value, dict) and not value["n"]):
        return None
    values = [setting.value for setting in switch.settings]
    if value in values or isinstance(value, dict):
        return values.index(value) if value in values else 0
    return next((index for index, each in enumerate(values) if each >= value), 0)


def shown_switches(board: Mapping[str, Any]) -> dict[str, Any]:
    """What the panel's template is given: each switch's setting by its name, and the names of those that are on."""
    positions = {name: position(switch, board) for name, switch in SWITCHES.items()}
    turned = {name for name, at in positions.items() if at is not None}
    return {"groups": GROUPS, "positions": positions, "turned": turned}


def switched(board: Mapping[str, Any], switch: Switch, to: int | None) -> dict[str, Any]:
    """The board with this switch in another position."""
    result = deepcopy(dict(board))
    *above, last = switch.path
    place = result
    for part in above:
        place = place[part]
    place[last] = switch.off if to is None else switch.settings[to].value
    return result


def plan_of(board: Mapping[str, Any]) -> FaultPlan:
    return FaultPlan.model_validate(board)
