"""The conversation as pydantic-ai's messages, and the model's text as a reply. Pure."""

import json
import re
from collections.abc import Iterable
from itertools import groupby

from pydantic import BaseModel, Field, ValidationError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart

from handlers.model import Question, Turn

LONGEST_HISTORY = 24_000
"""Characters of history that are sent, the newest; what is unanswered is always sent."""

_FENCE = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_GOODBYE, _PERSON = "[goodbye]", "[person]"


class Reply(BaseModel):
    """Answer the contact."""

    text: str = Field(description="What the contact reads.")
    conversation_is_over: bool = Field(False, description="True if the contact said goodbye or needs nothing more.")
    person_is_wanted: bool = Field(False, description="True if the contact asks for a person, or only a person can help.")


def messages_of(history: tuple[Turn, ...]) -> list[ModelMessage]:
    """
    The newest turns, beginning with the contact's, as messages that alternate between the contact and us.

    The templates of many open models refuse two messages of one side in a row, or a conversation that we begin.
    """
    messages: list[ModelMessage] = []
    for is_contact, turns in groupby(_newest(history), key=lambda turn: turn.role == "contact"):
        text = "\n".join(turn.text for turn in turns)
        if is_contact:
            messages.append(ModelRequest(parts=[UserPromptPart(text)]))
        elif messages:
            messages.append(ModelResponse(parts=[TextPart(text)]))
    return messages


def prompt_of(question: Question) -> str:
    """What is unanswered, in one message."""
    return "\n".join(question.unanswered)


def reply_of_text(text: str) -> Reply:
    """
    Understand plain text: an answer with marks at its end, or the tool's arguments, which some models write out.

    The time grows with the length of the text and no faster: a model that writes blanks without end must not stop the process.
    """
    if written_out := _written_out(text.strip()):
        return written_out
    marks: set[str] = set()
    end = len(text)
    while mark := _mark_before(text, end):
        name, end = mark
        marks.add(name)
    return Reply(text=text[:end].strip(), conversation_is_over=_GOODBYE in marks, person_is_wanted=_PERSON in marks)


def _mark_before(text: str, end: int) -> tuple[str, int] | None:
    """The mark that stands last there, but for blanks and full stops, and where it begins."""
    while end and (text[end - 1].isspace() or text[end - 1] == "."):
        end -= 1
    for name in (_GOODBYE, _PERSON):
        begin = max(0, end - len(name))
        if text[begin:end].lower() == name:
            return name, begin
    return None


def _written_out(text: str) -> Reply | None:
    fenced = _FENCE.fullmatch(text)
    try:
        call = json.loads(fenced.group(1) if fenced else text)
        return Reply.model_validate(call.get("arguments") or call.get("parameters") or call)
    except (ValueError, ValidationError, RecursionError, AttributeError):
        return None


def _newest(history: tuple[Turn, ...]) -> Iterable[Turn]:
    newest: list[Turn] = []
    room = LONGEST_HISTORY
    for turn in reversed(history):
        room -= len(turn.text)
        if room < 0:
            break
        newest.append(turn)
    return reversed(newest)
