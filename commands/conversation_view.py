"""What a terminal and a script are shown of a conversation. Text of others is shown, and never obeyed: see `printable`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table

from commands.terminal import Complaint, add_row, console, print_json, printable, table_of
from operations.durations import ago

if TYPE_CHECKING:
    from operations.conversations import Listed, Said, Shown
    from operations.delivery import Delivery
    from operations.intervention import Act

CHANNEL = "whatsapp:"
TIME, DAY_AND_TIME = "%H:%M:%S", "%Y-%m-%d %H:%M:%S"


def table_of_conversations(found: "Sequence[Listed]") -> Table:
    columns = ("CONVERSATION", "CONTACT", "STATUS", "ACTIVITY", "UNANSWERED", "DEAD LETTERS")
    table = table_of(*columns, unbroken=("CONVERSATION",))
    for each in found:
        activity = ago((each.log_time - each.last_activity_at).total_seconds())
        cells = (
            each.id,
            each.contact.removeprefix(CHANNEL),
            _status(each),
            activity,
            _unanswered(each),
            str(each.dead_letters or "-"),
        )
        add_row(table, cells)
    return table


def _status(conversation: "Listed") -> str:
    if conversation.ended_at:
        by = conversation.closer or conversation.closed_by
        return f"{conversation.status} by {by}" if by else conversation.status
    return f"{conversation.status} ({conversation.taken_by})" if conversation.taken_by else conversation.status


def _unanswered(conversation: "Listed") -> str:
    since = conversation.unanswered_since
    return f"{conversation.unanswered}, {ago((conversation.log_time - since).total_seconds())}" if since else "-"


def lines_of(shown: "Shown") -> list[str]:
    conversation = shown.conversation
    now = conversation.log_time
    lines = [
        f"{conversation.id}, {_status(conversation)}",
        f"contact        {conversation.contact}",
        f"log time       {_moment(now)}",
        f"opened         {_moment(conversation.opened_at)}, last activity {_moment(conversation.last_activity_at)}",
    ]
    if conversation.previous_conversation_id:
        lines.append(f"after          {conversation.previous_conversation_id}")
    if conversation.ended_at:
        lines.append(f"ended          {_moment(conversation.ended_at)}")
    if conversation.next_deadline_at:
        lines.append(f"next deadline  {_moment(conversation.next_deadline_at)}")
    if shown.window_closes_at and not conversation.ended_at:
        is_open = now < shown.window_closes_at
        lines.append(f"window         {'open until' if is_open else 'closed since'} {_moment(shown.window_closes_at)}")
    if conversation.unanswered:
        lines.append(f"unanswered     {_unanswered(conversation)}")
    if conversation.dead_letters:
        lines.append(f"dead letters   {conversation.dead_letters} open, see: prosa dead-letters list")
    return lines + _story(shown, now)


def _story(shown: "Shown", now: datetime) -> list[str]:
    steps = [(_of_ms(step.at_ms), step) for step in shown.steps]
    moments = [moment for said in shown.said for moment in (said.at, said.written_at) if moment]
    has_one_day = all(_is_today(at, now) for at in (*moments, *(at for at, _ in steps)))
    form = TIME if has_one_day else DAY_AND_TIME
    lines = ["", *(_said(each, form) for each in shown.said)]
    if steps:
        lines += ["", "What happened last:"]
        lines += [f"  {at:{form}}  {step.name:22}  {'; '.join(step.changes) or 'nothing new'}" for at, step in steps]
    return lines


def _said(said: "Said", form: str) -> str:
    status = "" if said.author == "contact" else f"  [{said.status}{f' {said.error_code}' if said.error_code else ''}]"
    text = said.text.replace("\n", "\n      ")
    written = f"  [written {said.written_at.astimezone():{form}}]" if said.written_at else ""
    return f"  {said.at.astimezone():{form}}  {said.author or 'somebody'}: {text}{status}{written}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():{DAY_AND_TIME}}"


def _is_today(moment: datetime, now: datetime) -> bool:
    return moment.astimezone().date() == now.astimezone().date()


def _of_ms(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000).astimezone()


def print_act(act: "Act", *, as_json: bool) -> None:
    if as_json:
        print_json(plain_act(act))
        return
    lines = [f"{act.conversation.id}: {'; '.join(act.changes) or 'nothing changed'}"]
    for said in act.withdrawn:
        lines += [f"  withdrawn, unsaid: {part.text}" for part in said.parts]
    for said in act.in_flight:
        lines.append(f"  already with Twilio, and not to be called back: {' '.join(part.text for part in said.parts[:1])}")
    console.print(printable("\n".join(lines)), markup=False, soft_wrap=True)


def plain_act(act: "Act") -> dict[str, object]:
    return {
        "conversation": act.conversation.id,
        "status": act.conversation.status,
        "taken_by": act.conversation.taken_by,
        "changes": act.changes,
        "withdrawn": [said.id for said in act.withdrawn],
        "in_flight": [said.id for said in act.in_flight],
    }


def tell_delivery(delivery: "Delivery") -> None:
    """One line per message; raises `Complaint` where it was given up or did not arrive."""
    from operations.delivery import MEANINGS

    for message in delivery.messages:
        console.print(printable(f"{message.status}: {message.text}"), markup=False, soft_wrap=True)
    if delivery.rejection:
        code = f" ({delivery.code}: https://www.twilio.com/docs/api/errors/{delivery.code})" if delivery.code else ""
        raise Complaint(f"it was not delivered: {MEANINGS[delivery.rejection]}{code}")
    if delivery.has_failed:
        raise Complaint("it was not delivered; why: prosa dead-letters list, prosa sends list")
    if len(delivery.messages) < len(delivery.reply.parts):
        console.print(f"The reply is {delivery.reply.status}; how far it comes: prosa conversations show, prosa sends list")


def plain_delivery(delivery: "Delivery") -> dict[str, object]:
    return {
        "reply": delivery.reply.id,
        "reply_status": delivery.reply.status,
        "messages": [asdict(message) for message in delivery.messages],
        "rejection": delivery.rejection,
        "code": delivery.code,
    }
