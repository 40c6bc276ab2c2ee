"""What people do to a conversation."""

from typing import ClassVar

from streams.events.event_data import EventData


class ConversationTaken(EventData):
    """A person took the conversation over; the AI is silent."""

    name: ClassVar[str] = "conversation.taken"

    by: str


class ConversationReleased(EventData):
    """The person gave the conversation back; what came before counts as answered."""

    name: ClassVar[str] = "conversation.released"

    by: str


class ConversationClosed(EventData):
    """A person closed the conversation."""

    name: ClassVar[str] = "conversation.closed"

    by: str
