"""`prosa conversations`: who talks with us, what was said, and a person who steps in."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from commands.acting import By, act_on
from commands.development_options import DATA_DIRECTORY, Directory
from commands.durations import ago
from commands.terminal import Complaint, console, print_table, printable
from projections.state import Status

if TYPE_CHECKING:
    from operations.connection import Connection
    from operations.conversations import Listed, Said, Shown
    from operations.delivery import Delivery
    from operations.intervention import Act

conversations = typer.Typer(no_args_is_help=True, help="Who talks with us: look, take over, answer, give back, close.")

CHANNEL = "whatsapp:"

Name = Annotated[str, typer.Argument(metavar="CONVERSATION", help="Its id, the beginning of it, or the contact's address.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a script.")]


@conversations.command("list", epilog="Example: prosa conversations list --status pending --status handoff")
def list_(
    status: Annotated[list[Status] | None, typer.Option("--status", help="Only those; may be given more than once.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Only this tenant's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many on a page.")] = 20,
    page: Annotated[int, typer.Option(min=1, help="Which page, from 1 on.")] = 1,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Show the conversations with the latest activity, newest first, and what waits for an answer."""
    from operations.conversations import listed

    offset = (page - 1) * limit
    found = act_on(data, lambda connection: listed(connection, statuses=status, owner=owner, limit=limit + 1, offset=offset))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found[:limit]], indent=2, ensure_ascii=False, default=_plain))
    elif found:
        print_table(_table(found[:limit]))
        if len(found) > limit:
            console.print(f"More: --page {page + 1}", style="dim")
    else:
        console.print("No conversations." if page == 1 else f"There is no page {page}.")


@conversations.command(epilog="Example: prosa conversations show whatsapp:+5511999990000")
def show(
    conversation: Name,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many messages, and as many steps.")] = 20,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Show one: what was said and how far it came, what waits, what will end it, and the last events with what each changed."""
    from operations.conversations import named, shown

    async def look(connection: "Connection") -> "Shown":
        return await shown(connection, await named(connection, conversation), limit=limit, steps=limit)

    found = act_on(data, look)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False, default=_plain))
    else:
        console.print(printable("\n".join(_lines_of(found))), markup=False, soft_wrap=True)


@conversations.command(epilog="Example: prosa conversations take 01KAH3V5T2 --by ana")
def take(conversation: Name, by: By, as_json: AsJson = False, data: Directory = DATA_DIRECTORY) -> None:
    """Take it over: the AI is silent from here on, also with a reply that it has not begun to send."""
    from operations import conversations as views
    from operations import intervention

    async def act(connection: "Connection") -> "Act":
        return await intervention.take(connection, await views.named(connection, conversation), by=by)

    _print_act(act_on(data, act), as_json=as_json)


@conversations.command(epilog='Example: prosa conversations reply 01KAH3V5T2 "Good morning, this is Ana." --by ana')
def reply(
    conversation: Name,
    text: Annotated[str, typer.Argument(help="What the contact is to read.")],
    by: By,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until it has arrived.")] = 10.0,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Answer as a person, and tell how far it came. The AI goes on as well, unless somebody takes the conversation over."""
    from operations import conversations as views
    from operations import delivery, intervention

    async def act(connection: "Connection") -> "tuple[Act, Delivery]":
        found = await views.named(connection, conversation)
        done, said = await intervention.reply(connection, found, text, by=by)
        return done, await delivery.delivery_of(connection, found.thread, said, within_seconds=wait)

    done, delivered = act_on(data, act)
    if as_json:
        typer.echo(json.dumps(_plain_act(done) | _plain_delivery(delivered), indent=2, ensure_ascii=False, default=_plain))
        raise typer.Exit(1 if delivered.has_failed else 0)
    _tell_delivery(delivered)


@conversations.command(epilog="Example: prosa conversations release 01KAH3V5T2 --by ana")
def release(conversation: Name, by: By, as_json: AsJson = False, data: Directory = DATA_DIRECTORY) -> None:
    """Give it back: the AI answers again; what the contact wrote before counts as answered."""
    from operations import conversations as views
    from operations import intervention

    async def act(connection: "Connection") -> "Act":
        return await intervention.release(connection, await views.named(connection, conversation), by=by)

    _print_act(act_on(data, act), as_json=as_json)


@conversations.command(epilog="Example: prosa conversations close 01KAH3V5T2 --by ana")
def close(conversation: Name, by: By, as_json: AsJson = False, data: Directory = DATA_DIRECTORY) -> None:
    """Close it: nothing in it waits any more, and what the AI has not begun to send is withdrawn."""
    from operations import conversations as views
    from operations import intervention

    async def act(connection: "Connection") -> "Act":
        return await intervention.close(connection, await views.named(connection, conversation), by=by)

    _print_act(act_on(data, act), as_json=as_json)


# ------------------------------------------------------------------------------------------------- what the terminal shows


def _table(found: "Sequence[Listed]") -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("CONVERSATION", "CONTACT", "STATUS", "ACTIVITY", "UNANSWERED"):
        table.add_column(name, overflow="fold", no_wrap=name == "CONVERSATION")
    for each in found:
        activity = ago((each.log_time - each.last_activity_at).total_seconds())
        cells = (each.id, each.contact.removeprefix(CHANNEL), _status(each), activity, _unanswered(each))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _status(conversation: "Listed") -> str:
    by = conversation.taken_by or conversation.closed_by
    return f"{conversation.status} ({by})" if by else conversation.status


def _unanswered(conversation: "Listed") -> str:
    since = conversation.unanswered_since
    return f"{conversation.unanswered}, {ago((conversation.log_time - since).total_seconds())}" if since else "-"


def _lines_of(shown: "Shown") -> list[str]:
    conversation = shown.conversation
    now = conversation.log_time
    lines = [
        f"{conversation.id}, {_status(conversation)}",
        f"contact        {conversation.contact}",
        f"log time       {now.astimezone():%Y-%m-%d %H:%M:%S}",
        f"opened         {_moment(conversation.opened_at, now)}, last activity {_moment(conversation.last_activity_at, now)}",
    ]
    if conversation.previous_conversation_id:
        lines.append(f"after          {conversation.previous_conversation_id}")
    if conversation.ended_at:
        lines.append(f"ended          {_moment(conversation.ended_at, now)}")
    if conversation.next_deadline_at:
        lines.append(f"next deadline  {_moment(conversation.next_deadline_at, now)}")
    if shown.window_closes_at:
        is_open = now < shown.window_closes_at
        lines.append(f"window         {'open until' if is_open else 'closed since'} {_moment(shown.window_closes_at, now)}")
    if conversation.unanswered:
        lines.append(f"unanswered     {_unanswered(conversation)}")
    lines += ["", *(_said(each, now) for each in shown.said)]
    if shown.steps:
        lines += ["", "What happened last:"]
        lines += [
            f"  {_clock(step.at_ms, now)}  {step.name:22}  {'; '.join(step.changes) or 'nothing new'}" for step in shown.steps
        ]
    return lines


def _said(said: "Said", now: datetime) -> str:
    status = "" if said.author == "contact" else f"  [{said.status}{f' {said.error_code}' if said.error_code else ''}]"
    text = said.text.replace("\n", "\n      ")
    return f"  {_moment(said.at, now)}  {said.author or 'somebody'}: {text}{status}"


def _moment(moment: datetime, now: datetime) -> str:
    local, today = moment.astimezone(), now.astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"


def _clock(time_ms: int, now: datetime) -> str:
    return _moment(datetime.fromtimestamp(time_ms / 1000).astimezone(), now)


def _print_act(act: "Act", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain_act(act), indent=2, ensure_ascii=False))
        return
    lines = [f"{act.conversation.id}: {'; '.join(act.changes) or 'nothing changed'}"]
    for said in act.withdrawn:
        lines += [f"  withdrawn, unsaid: {part.text}" for part in said.parts]
    for said in act.in_flight:
        lines.append(f"  already with Twilio, and not to be called back: {' '.join(part.text for part in said.parts[:1])}")
    console.print(printable("\n".join(lines)), markup=False, soft_wrap=True)


def _plain_act(act: "Act") -> dict[str, object]:
    return {
        "conversation": act.conversation.id,
        "status": act.conversation.status,
        "taken_by": act.conversation.taken_by,
        "changes": act.changes,
        "withdrawn": [said.id for said in act.withdrawn],
        "in_flight": [said.id for said in act.in_flight],
    }


def _tell_delivery(delivery: "Delivery") -> None:
    """One line per message; `Complaint` where it was given up."""
    from operations.delivery import MEANINGS

    for message in delivery.messages:
        console.print(printable(f"{message.status}: {message.text}"), markup=False, soft_wrap=True)
    if delivery.rejection:
        code = f" ({delivery.code}: https://www.twilio.com/docs/api/errors/{delivery.code})" if delivery.code else ""
        raise Complaint(f"it was not delivered: {MEANINGS[delivery.rejection]}{code}")
    if len(delivery.messages) < len(delivery.reply.parts):
        console.print(f"The reply is {delivery.reply.status}; how far it comes: prosa conversations show, prosa sends list")


def _plain_delivery(delivery: "Delivery") -> dict[str, object]:
    return {
        "reply": delivery.reply.id,
        "reply_status": delivery.reply.status,
        "messages": [asdict(message) for message in delivery.messages],
        "rejection": delivery.rejection,
        "code": delivery.code,
    }


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
