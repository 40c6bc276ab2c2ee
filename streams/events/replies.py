"""What is to be said to a contact, by the AI or by a person."""

from typing import ClassVar

from pydantic import Field

from streams.events.event_data import EventData


class ReplyGenerated(EventData):
    """
    The AI answered the inbound messages from `first_event` to `last_event`, both included.

    The fold accepts it or calls it superseded; a `final` one is accepted even if newer inbound arrived meanwhile.
    """

    name: ClassVar[str] = "reply.generated"

    reply: str
    first_event: str
    last_event: str
    parts: tuple[str, ...] = Field(min_length=1)
    final: bool = False
    closes: bool = False
    hands_off: bool = False
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class ReplyFailed(EventData):
    """
    No model could answer these inbound messages. Where it `gives_up`, each becomes a dead letter; else they go on waiting.

    `sentence`, where there is one, is what the contact is told instead; it answers nothing. It travels in this event, so that
    no crash can come between the failure and the sentence. Version 1 always gives up.
    """

    name: ClassVar[str] = "reply.failed"
    version: ClassVar[int] = 2

    reply: str
    first_event: str
    last_event: str
    error: str
    attempts: int
    fingerprint: str
    sentence: str | None = None
    gives_up: bool = True


class PersonReplied(EventData):
    """
    A person answered. It answers everything that the contact wrote before.

    Always accepted, unless it names a conversation that is not the open one. Version 1 names none.
    """

    name: ClassVar[str] = "person.replied"
    version: ClassVar[int] = 2

    reply: str
    parts: tuple[str, ...] = Field(min_length=1)
    by: str
    conversation: str | None = None
