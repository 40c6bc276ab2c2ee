"""`prosa conversations`: who talks with us, what was said, and a person who steps in."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from commands import numbers
from commands.acting import By, act_on
from commands.conversation_view import lines_of, plain_act, plain_delivery, print_act, table_of_conversations, tell_delivery
from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import INTERRUPTED, AsJson, complaints, console, print_json, print_table, printable
from projections.state import Status

if TYPE_CHECKING:
    from operations.connection import Connection
    from operations.conversations import Listed, Shown
    from operations.delivery import Delivery
    from operations.intervention import Act

conversations = typer.Typer(no_args_is_help=True, help="Who talks with us: look, take over, answer, give back, close.")

RECORDED = "recorded; it will be sent"
UNKNOWN = "interrupted; whether it is recorded shows: prosa conversations show"

Name = Annotated[str, typer.Argument(metavar="CONVERSATION", help="Its id, the beginning of it, or the contact's address.")]


@conversations.command("list", epilog="Example: prosa conversations list --status pending --status handoff")
def list_(
    status: Annotated[list[Status] | None, typer.Option("--status", help="Only those; may be given more than once.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Only this tenant's.")] = None,
    limit: Annotated[int, numbers.limit("So many on a page.")] = 20,
    page: numbers.Page = 1,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Show the conversations with the latest activity, newest first, and what waits for an answer."""
    from operations.conversations import listed

    offset = (page - 1) * limit
    found = act_on(data, lambda connection: listed(connection, statuses=status, owner=owner, limit=limit + 1, offset=offset))
    if as_json:
        print_json([asdict(each) for each in found[:limit]])
    elif found:
        print_table(table_of_conversations(found[:limit]))
        if len(found) > limit:
            console.print(f"More: --page {page + 1}", style="dim")
    else:
        console.print("No conversations." if page == 1 else f"There is no page {page}.")


@conversations.command(epilog="Example: prosa conversations show whatsapp:+5511999990000")
def show(
    conversation: Name,
    limit: Annotated[int, numbers.limit("The newest so many messages, and as many steps.")] = 20,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Show one: what was said and how far it came, what waits, what will end it, and the last events with what each changed."""
    from operations.conversations import named, shown

    async def look(connection: "Connection") -> "Shown":
        return await shown(connection, await named(connection, conversation), limit=limit, steps=limit)

    found = act_on(data, look)
    if as_json:
        print_json(asdict(found))
    else:
        console.print(printable("\n".join(lines_of(found))), markup=False, soft_wrap=True)


@conversations.command(epilog="Example: prosa conversations take 01KAH3V5T2 --by ana")
def take(
    conversation: Name,
    by: By,
    force: Annotated[bool, typer.Option("--force", help="Also from a colleague who has it.")] = False,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Take it over: the AI is silent from here on, also with a reply that it has not begun to send."""
    from operations import intervention

    print_act(_done(data, conversation, intervention.take_from_anybody if force else intervention.take, by), as_json=as_json)


@conversations.command(epilog='Example: prosa conversations reply 01KAH3V5T2 "Good morning, this is Ana." --by ana')
def reply(
    conversation: Name,
    text: Annotated[str, typer.Argument(help="What the contact is to read.")],
    by: By,
    wait: Annotated[float, numbers.seconds("Seconds to wait until it has arrived.")] = 10.0,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Answer as a person, and tell how far it came. The AI goes on as well, unless somebody takes the conversation over."""
    from operations import conversations as views
    from operations import delivery, intervention

    is_recorded = False

    async def act(connection: "Connection") -> "tuple[Act, Delivery]":
        nonlocal is_recorded
        found = await views.named(connection, conversation)
        done, said = await intervention.reply(connection, found, text, by=by)
        is_recorded = True
        return done, await delivery.delivery_of(connection, found.thread, said, within_seconds=wait)

    try:
        done, delivered = act_on(data, act)
    except KeyboardInterrupt:
        complaints.print(RECORDED if is_recorded else UNKNOWN, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(plain_act(done) | plain_delivery(delivered))
        raise typer.Exit(1 if delivered.has_failed else 0)
    tell_delivery(delivered)


@conversations.command(epilog="Example: prosa conversations release 01KAH3V5T2 --by ana")
def release(conversation: Name, by: By, as_json: AsJson = False, data: Directory = DATA_DIRECTORY) -> None:
    """Give it back: the AI answers again; what the contact wrote before counts as answered."""
    from operations import intervention

    print_act(_done(data, conversation, intervention.release, by), as_json=as_json)


@conversations.command(epilog="Example: prosa conversations close 01KAH3V5T2 --by ana")
def close(conversation: Name, by: By, as_json: AsJson = False, data: Directory = DATA_DIRECTORY) -> None:
    """Close it: nothing in it waits any more, and what the AI has not begun to send is withdrawn."""
    from operations import intervention

    print_act(_done(data, conversation, intervention.close, by), as_json=as_json)


class _Intervention(Protocol):
    """An act of a person on a conversation."""

    async def __call__(self, connection: "Connection", conversation: "Listed", *, by: str) -> "Act": ...


def _done(data: Path | None, name: str, intervene: _Intervention, by: str) -> "Act":
    """What came of the act on the conversation that is named."""
    from operations.conversations import named

    async def act(connection: "Connection") -> "Act":
        return await intervene(connection, await named(connection, name), by=by)

    return act_on(data, act)
