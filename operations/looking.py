"""Where a person can look whether what they asked for counts. Pure."""

from streams.events import (
    AnyEventData,
    ConversationClosed,
    ConversationReleased,
    ConversationTaken,
    DeadLetterDiscarded,
    MessageSent,
    PersonReplied,
    RedriveRequested,
    SendDisproved,
    SendRejected,
)


def command_that_shows(data: AnyEventData) -> str:
    """The command that shows what came of an act."""
    match data:
        case ConversationTaken() | ConversationReleased() | ConversationClosed() | PersonReplied():
            return f"prosa conversations show {data.conversation}"
        case RedriveRequested() | DeadLetterDiscarded():
            return f"prosa dead-letters show {data.event}"
        case MessageSent() | SendDisproved() | SendRejected():
            return "prosa sends list"
        case _:
            return "prosa status"
