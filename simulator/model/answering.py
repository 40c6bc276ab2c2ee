"""
What the simulated model says: the same conversation always gets the same answer. Pure.

It quotes each message that waits, one to a line of the last one of the user's, and the one that came before, so that
the phones alone tell whether every message was answered once and in order.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INTRODUCTION = "I am a simulated model."
LONGEST_QUOTE = 120

_GOODBYE = re.compile(r"\b(goodbye|bye|tchau|adeus|adios|chau)\b")
_PERSON = re.compile(r"\b(person|human|pessoa|humano|atendente|persona|agente)\b")


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    is_goodbye: bool = False
    wants_person: bool = False


def answer_to(messages: Sequence[Mapping[str, Any]]) -> Said:
    """messages are those of a request for a completion."""
    written = [_lines(message.get("content")) for message in messages if message.get("role") == "user"]
    waiting = written[-1] if written else []
    earlier = [line for lines in written[:-1] for line in lines]
    said = [INTRODUCTION, *_repeated(waiting)]
    if earlier:
        said.append(f"Before that you said: {_quote(earlier[-1])}.")
    plain = [_plain(line) for line in waiting]
    wants_person = any(_PERSON.search(line) for line in plain)
    is_goodbye = not wants_person and any(_GOODBYE.search(line) for line in plain)
    return Said("\n".join(said), is_goodbye, wants_person)


def _lines(content: object) -> list[str]:
    """Content is a text, or parts of which some are texts."""
    match content:
        case str():
            return [line for line in content.split("\n") if line.strip()]
        case list():
            texts = (part.get("text") for part in content if isinstance(part, dict))
            return [line for text in texts for line in _lines(text)]
        case _:
            return []


def _repeated(messages: Sequence[str]) -> list[str]:
    match messages:
        case []:
            return ["You said nothing."]
        case [one]:
            return [f"You said: {_quote(one)}."]
        case _:
            numbered = [f"{number}. {_quote(text)}" for number, text in enumerate(messages, start=1)]
            return [f"You sent {len(messages)} messages:", *numbered]


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1].rstrip() + '…'}”"


def _plain(text: str) -> str:
    """Lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
