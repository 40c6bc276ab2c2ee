"""Webhooks that are posted while the log is away: how each is answered, and what it costs the door."""

import http.client
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.outages.log_faults import away
from tests.outages.system import SETTINGS, Program, System, cpu_seconds, eventually
from tests.webhook.posts import TEXT as FIELDS
from tests.webhook.posts import Post, signed
from webhook.door import MESSAGES_PATH

FAULTS_AT_THE_DOOR = ("READONLY", "OOM", "WRONGPASS", "refused", "SIGSTOP", "half open")
POSTS_PER_SECOND = 10
PATIENCE_SECONDS = 15.0
"""Twilio's."""


@dataclass(frozen=True)
class Answers:
    """Of the posts of one outage; `cpu_seconds` are the door's for each post, those of the waiting itself among them."""

    statuses: Counter[int]
    longest_seconds: float
    cpu_seconds: float
    lines: int
    recovered_seconds: float

    def __str__(self) -> str:
        answers = " ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"answers {answers} · longest {self.longest_seconds:.2f} s · cpu {self.cpu_seconds * 1000:.1f} ms a post · "
            f"lines {self.lines} · 200 again after {self.recovered_seconds:.2f} s"
        )


def answers(system: System, door: Program, fault: str, seconds: float) -> Answers:
    """Break the log for so long and post all the while; afterwards mend it, and post until one is taken."""
    with away(system, fault):
        cpu, lines = cpu_seconds(door.pids()), door.output.count("\n")
        answered = _posted_meanwhile(system, door, seconds)
        spent, told = cpu_seconds(door.pids()) - cpu, door.output.count("\n") - lines
    recovered = eventually(lambda: _post(system, door)[0] == 200, 30, "a post is taken again")
    statuses = Counter(status for status, _ in answered)
    return Answers(statuses, max(taken for _, taken in answered), spent / len(answered), told, recovered)


def _posted_meanwhile(system: System, door: Program, seconds: float) -> Sequence[tuple[int, float]]:
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=int(POSTS_PER_SECOND * PATIENCE_SECONDS)) as posting:
        posts = []
        for number in range(int(seconds * POSTS_PER_SECOND)):
            eventually(lambda: time.monotonic() >= began + number / POSTS_PER_SECOND, seconds + 1, "its turn")  # noqa: B023
            posts.append(posting.submit(_post, system, door))
        return [post.result() for post in posts]


def _post(system: System, door: Program) -> tuple[int, float]:
    """Status and seconds."""
    post = _message(system)
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", post.path, post.body, dict(post.headers))
        return connection.getresponse().status, time.monotonic() - began
    finally:
        connection.close()


def _message(system: System) -> Post:
    sid = system.next_sid()
    fields = {**FIELDS, "MessageSid": sid, "SmsMessageSid": sid, "SmsSid": sid, "AccountSid": SETTINGS["TWILIO_ACCOUNT_SID"]}
    return signed(MESSAGES_PATH, list(fields.items()), base=SETTINGS["PUBLIC_BASE_URL"], token=SETTINGS["TWILIO_AUTH_TOKEN"])
