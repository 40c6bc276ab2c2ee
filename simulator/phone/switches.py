"""The switch panel: what can go wrong on purpose, as a list. A new fault needs one line here."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from simulator.faults import FaultPlan

PAGE = "page"
"""The part of the switchboard that the page keeps itself; the rest is the fault plan."""

BOARD_OF_PAGE = {"copies": 1}


@dataclass(frozen=True, slots=True)
class Setting:
    """One position of a switch."""

    label: str
    value: Any


@dataclass(frozen=True, slots=True)
class Switch:
    """
    A place on the switchboard, and the positions it may have beside `off`.

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
    switches: tuple[Switch, ...]


def _on(value: Any) -> tuple[Setting, ...]:
    return (Setting("on", value),)


def _create(fault: str, label: str, meaning: str) -> Switch:
    return Switch(("create", fault), label, meaning, _on(1), is_once=True)


_SECONDS = (Setting("2 s", 2.0), Setting("10 s", 10.0), Setting("60 s", 60.0))

GROUPS: Sequence[Group] = (
    Group(
        "What contacts write",
        (Switch((PAGE, "copies"), "Post each message twice", "Twilio calls the webhook two times at once.", _on(2), off=1),),
    ),
    Group(
        "Statuses",
        (
            Switch(("callbacks", "read_receipts"), "No read receipts", "Contacts hide that they read.", _on(False), off=True),
            Switch(("callbacks", "delay_seconds"), "Late", "Each status comes after so long.", _SECONDS),
            Switch(("callbacks", "jitter_seconds"), "Out of order", "Up to so much later, each for itself.", _SECONDS),
            Switch(("callbacks", "duplicate_rate"), "Each one twice", "As Twilio does now and then.", _on(1.0)),
            Switch(
                ("callbacks", "lost_rate"),
                "Lost",
                "They never come.",
                (Setting("half of them", 0.5), Setting("all of them", 1.0)),
            ),
            Switch(
                ("callbacks", "fail"),
                "The next message fails",
                "Taken, and never delivered.",
                tuple(Setting(f"{code}", {"code": code, "n": 1}) for code in (63016, 63018, 63024)),
                off=None,
                is_once=True,
            ),
        ),
    ),
    Group(
        "The next send",
        (
            _create("429", "Too many requests", "Refused with 429."),
            _create("500_before", "500, not sent", "An error, and no message."),
            _create("500_after", "500, but sent", "An error, although the message goes out."),
            _create("reset_before", "Broken off, not sent", "The connection is reset."),
            _create("reset_after", "Broken off, but sent", "The answer is lost, the message goes out."),
            _create("hang_after", "No answer, but sent", "The connection hangs, the message goes out."),
            Switch(
                ("create", "reject"),
                "Refused",
                "Twilio answers with this code.",
                tuple(Setting(f"{code}", {"code": code, "status": 400, "n": 1}) for code in (21211, 21610, 63016)),
                off=None,
                is_once=True,
            ),
        ),
    ),
    Group(
        "The list of messages",
        (Switch(("listing_delay_seconds",), "Shows sends late", "What was sent is listed only after so long.", _SECONDS),),
    ),
)

SWITCHES: Mapping[str, Switch] = {switch.name: switch for group in GROUPS for switch in group.switches}


def board_of(plan: FaultPlan, page: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan.model_dump(mode="json", by_alias=True), PAGE: dict(page)}


def position(switch: Switch, board: Mapping[str, Any]) -> int | None:
    """Which setting it has; None when it is off. A value that is not in the list, set by somebody else, counts as the first."""
    value: Any = board
    for part in switch.path:
        value = value[part]
    if value == switch.off or (isinstance(value, dict) and not value["n"]):
        return None
    return next((index for index, setting in enumerate(switch.settings) if setting.value == value), 0)


def positions(board: Mapping[str, Any]) -> dict[str, int | None]:
    """Each switch's setting by its name."""
    return {name: position(switch, board) for name, switch in SWITCHES.items()}


def switched(board: Mapping[str, Any], switch: Switch, to: int | None) -> dict[str, Any]:
    """The board with this switch in another position."""
    result = deepcopy(dict(board))
    *above, last = switch.path
    place = result
    for part in above:
        place = place[part]
    place[last] = switch.off if to is None else switch.settings[to].value
    return result


def parted(board: Mapping[str, Any]) -> tuple[FaultPlan, dict[str, Any]]:
    """The fault plan, and what the page keeps itself."""
    return FaultPlan.model_validate({name: value for name, value in board.items() if name != PAGE}), dict(board[PAGE])
