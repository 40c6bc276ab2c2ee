"""What was given up or is in doubt, and waits for a person: nothing of it mends itself."""

from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, warning, well
from operations.doctor.system import System
from operations.status import dead_letters_of
from projections.database import sql


async def left_over(system: System) -> Sequence[Finding]:
    async with system.database.transaction(readonly=True) as connection:
        waiting = {row["kind"]: row["number"] for row in await connection.fetch(sql("status_waiting"))}
    found = []
    if given_up := dead_letters_of(waiting):
        groups = ", ".join(f"{number} of the {group}" for group, number in given_up.items())
        found.append(
            warning(Group.SAFE, f"Dead letters are open: {groups}.", "prosa dead-letters list shows why; redrive or discard")
        )
    if unsure := waiting.get("unconfirmed"):
        sentence = f"Replies of which nobody knows whether they were sent: {unsure}."
        found.append(warning(Group.SAFE, sentence, "prosa sends list shows them; prosa sends resolve settles one"))
    return found or [well(Group.SAFE, "No dead letter is open, and no send is unconfirmed.")]
