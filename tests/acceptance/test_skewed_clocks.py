"""Hosts whose clocks differ by twenty minutes and jump back meanwhile: no lease, retry, proof or deadline goes by them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.acceptance.running import QUICK, PhoneCompany, Prosa, clean_environment, eventually, running
from tests.acceptance.skew import skewed
from tests.harness.checker import violations
from tests.harness.history import from_ledger
from tests.harness.scenario import contacts_of, let_them_write

CONVERSATIONS = 24
SECONDS = 8.0
STEPS_AFTER_SECONDS = 6.0
SETTLED_SECONDS = 60.0
HALF_KNOWN = {"500_after": 2, "reset_after": 1, "500_before": 2}


def test_the_clock_of_this_python_is_wrong_and_jumps(tmp_path: Path) -> None:
    """Else the test below would prove nothing."""
    script = (
        "import time, datetime\n"
        "def shown(): return round(time.time()), round(datetime.datetime.now(datetime.UTC).timestamp())\n"
        "print(*shown()); time.sleep(0.6); print(*shown())"
    )
    environment = clean_environment(**skewed(tmp_path, spared="nobody", steps_after_seconds=0.5))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    before, after = ([int(each) - time.time() for each in line.split()] for line in done.stdout.splitlines())
    assert all(abs(each) > 120 for each in (*before, *after))
    assert all(one * other < 0 for one, other in zip(before, after, strict=True))


async def is_midway(twilio: PhoneCompany) -> bool:
    return len(from_ledger(await twilio.ledger())[1]) >= CONVERSATIONS // 3


WRITTEN_AT = """
SELECT split_part(event ->> 'source', '/', 2) AS writer,
       max(abs(extract(epoch FROM (event ->> 'time')::timestamptz - log_time))) AS apart
FROM prosa.events GROUP BY 1
"""


async def minutes_apart(prosa: Prosa) -> dict[str, float]:
    """How far the time that each kind of process wrote into its events was from the log's."""
    async with prosa.database() as connection:
        return {row["writer"]: float(row["apart"]) / 60 for row in await connection.fetch(WRITTEN_AT)}


async def test_everything_is_answered_once_and_in_order_by_hosts_whose_clocks_are_wrong(tmp_path: Path) -> None:
    """A worker is killed and some sends are in doubt, so that leases lapse and proofs are waited for."""
    wrong = skewed(tmp_path / "python", spared="simulator", steps_after_seconds=STEPS_AFTER_SECONDS)
    settings = {**QUICK, "AI_MODEL": "offline", **wrong}
    contacts = contacts_of(11, CONVERSATIONS, SECONDS)
    async with running(Prosa(tmp_path / "a run", 2, settings)) as prosa, prosa.phone_company() as twilio:
        await twilio.break_down(create=HALF_KNOWN)
        writing = asyncio.create_task(let_them_write(contacts, twilio))
        await eventually(lambda: is_midway(twilio), SECONDS, "some replies")
        os.kill(prosa.worker_pids()[0], signal.SIGKILL)
        await writing

        async def is_settled() -> bool:
            history = await prosa.history(twilio)
            return len(history.written) == sum(contact.messages for contact in contacts) and not violations(history)

        try:
            await eventually(is_settled, SETTLED_SECONDS, "everything is answered")
        except AssertionError:
            raise AssertionError(violations(await prosa.history(twilio))) from None
        apart = await minutes_apart(prosa)
    assert min(apart[writer] for writer in ("webhook", "clock", "responder", "sender")) > 2, apart
