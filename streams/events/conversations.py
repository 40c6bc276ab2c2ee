"""
What people do to a conversation.

Each names the conversation that was meant, and changes nothing where that is not the open one: another may have begun meanwhile.
Events of version 1 name none, and mean whichever is open.
"""

from typing import ClassVar

from streams.events.event_data import EventData


class ConversationTaken(EventData):
    """A person took the conversation over; the AI is silent."""

    name: ClassVar[str] = "conversation.taken"
    version: ClassVar[int] = 2

    by: str
    conversation: str | None = None


class ConversationReleased(EventData):
    """The person gave the conversation back; what came before counts as answered."""

    name: ClassVar[str] = "conversation.released"
    version: ClassVar[int] = 2

    by: str
    conversation: str | None = None


class ConversationClosed(EventData):
    """A person closed the conversation."""

    name: ClassVar[str] = "conversation.closed"
    version: ClassVar[int] = 2

    by: str
    conversation: str | None = None
