"""Chat Completions as OpenAI writes them, of whatever is said: by the tool that takes an answer, or as plain text. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.model.answering import Said

ANSWER, OVER, PERSON = "text", "conversation_is_over", "person_is_wanted"
"""The parameters of the tool that takes an answer. It goes by any name."""

UNKNOWN_TOOL = "look_up"
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a completion that was understood."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]

    @property
    def answer_tool(self) -> str | None:
        """The first tool that has a text to take."""
        for tool in self.tools:
            function = tool.get("function", {})
            if ANSWER in function.get("parameters", {}).get("properties", {}):
                return str(function["name"])
        return None


def answer(asked: Asked, said: Said) -> dict[str, Any]:
    if asked.answer_tool is not None:
        flags = {OVER: said.is_goodbye, PERSON: said.wants_person}
        return _completion(asked, _call(asked.answer_tool, {ANSWER: said.text, **flags}), "tool_calls")
    mark = "\n[person]" if said.wants_person else "\n[goodbye]" if said.is_goodbye else ""
    return _completion(asked, {"content": said.text + mark}, "stop")


def empty(asked: Asked) -> dict[str, Any]:
    return _completion(asked, {"content": ""}, "stop")


def megabyte(asked: Asked) -> dict[str, Any]:
    return answer(asked, Said("lorem ipsum " * (MEGABYTE // 12)))


def tool_call(asked: Asked) -> dict[str, Any]:
    return _completion(asked, _call(UNKNOWN_TOOL, {"for": "ever"}), "tool_calls")


def _call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": None, "tool_calls": [{"id": "call_simulated", "type": "function", "function": function}]}


def _completion(asked: Asked, message: Mapping[str, Any], finish_reason: str) -> dict[str, Any]:
    """Four characters count as a token."""
    prompt_tokens = len(json.dumps(asked.messages)) // 4
    completion_tokens = len(json.dumps(message)) // 4
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": asked.model,
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", **message}}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
