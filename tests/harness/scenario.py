"""Contacts who write: bursts of messages with pauses, some of which Twilio posts several times at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.harness.phone_company import PhoneCompany

POSTS_AT_ONCE = 12
LONGEST_BURST = 4
MOST_COPIES = 5
DOUBLED = 0.25
"""The share of messages whose webhook is posted more than once."""
LONG_MESSAGES = 8
LONG_TAIL = "🦜" * 110
"""Twilio counts each as two: the quotes of eight such messages fill more than one part."""


@dataclass(frozen=True, slots=True)
class Burst:
    """When it begins, in seconds, and how often each of its messages is posted."""

    at: float
    copies: Sequence[int]


@dataclass(frozen=True, slots=True)
class Contact:
    """`tail` ends each of their messages."""

    address: str
    bursts: Sequence[Burst]
    tail: str = field(default="", repr=False)

    @property
    def messages(self) -> int:
        return sum(len(burst.copies) for burst in self.bursts)


def contacts_of(seed: int, count: int, seconds: float) -> list[Contact]:
    """The same seed gives the same contacts; each writes two bursts within that time."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    return [_contact(number, random, seconds) for number in range(count)]


def few_contacts(seed: int) -> list[Contact]:
    """Four who write in bursts for two seconds, one of whom Twilio posts twice, and one whose answer has two parts."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    contacts = []
    for number in range(4):
        first, second = random.uniform(0, 0.5), random.uniform(1.2, 2.0)
        bursts = [Burst(first, (1,) * random.randint(1, 3)), Burst(second, (1, 3) if number == 0 else (1,))]
        contacts.append(Contact(_address(number), bursts))
    return [*contacts, Contact(_address(4), [Burst(random.uniform(0.2, 0.8), (1,) * LONG_MESSAGES)], LONG_TAIL)]


def _contact(number: int, random: Random, seconds: float) -> Contact:
    times = sorted(random.uniform(0, seconds) for _ in range(2))
    bursts = [Burst(at, [_copies(random) for _ in range(random.randint(1, LONGEST_BURST))]) for at in times]
    return Contact(_address(number), bursts)


def _address(number: int) -> str:
    return f"whatsapp:+55119{number:08d}"


def _copies(random: Random) -> int:
    return random.randint(2, MOST_COPIES) if random.random() < DOUBLED else 1


async def let_them_write(contacts: Sequence[Contact], twilio: PhoneCompany) -> None:
    """All of them at once, each one message after the other; every body is written once only. Posts may fail."""
    posts = asyncio.Semaphore(POSTS_AT_ONCE)
    began = asyncio.get_running_loop().time()

    async def write(number: int, contact: Contact) -> None:
        message = 0
        for burst in contact.bursts:
            await asyncio.sleep(max(0.0, began + burst.at - asyncio.get_running_loop().time()))
            for copies in burst.copies:
                message += 1
                async with posts:
                    await twilio.try_to_write(contact.address, f"q{number:03d}-{message:02d}{contact.tail}", copies=copies)

    async with asyncio.TaskGroup() as tasks:
        for number, contact in enumerate(contacts):
            tasks.create_task(write(number, contact))
