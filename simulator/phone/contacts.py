"""Who is on the page: the address bar says it, so that a page can be kept as a bookmark. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlencode
from zlib import crc32

from simulator.addresses import is_contact, is_phone, without_channel

MOST = 6
"""Phones on one page."""
LONGEST_NAME = 60

FIRST = (("whatsapp:+5511999990000", "Ana"), ("whatsapp:+5511988887777", "Bruno"))
"""Who is on the page of somebody who asks for nobody."""

_NAMES = ("Carla", "Davi", "Elisa", "Felipe", "Gabriela", "Heitor", "Isabel", "João", "Lia", "Marcos", "Nina", "Otávio")


@dataclass(frozen=True, slots=True)
class Contact:
    address: str
    name: str

    @property
    def key(self) -> str:
        """What elements of the page are called by."""
        return sha256(self.address.encode()).hexdigest()[:12]

    @property
    def shown_address(self) -> str:
        """A phone in groups that can be read; anything else as it is."""
        bare = without_channel(self.address)
        if not is_phone(self.address) or not bare.startswith("+55"):
            return bare
        return f"{bare[:3]} {bare[3:5]} {bare[5:-4]}-{bare[-4:]}"

    @property
    def initial(self) -> str:
        return next((letter.upper() for letter in self.name if letter.isalnum()), "?")

    @property
    def hue(self) -> int:
        """One of eight colours."""
        return crc32(self.address.encode()) % 8


def on_page(addresses: Sequence[str], names: Sequence[str]) -> list[Contact]:
    """
    Who was asked for, each once, or the first ones. What is no contact's address is left out.

    Of too many the last stay: whoever is added always has a place, and the first one makes room.
    """
    asked = list(zip(addresses, [*names, *[""] * len(addresses)], strict=False)) or FIRST
    found: dict[str, Contact] = {}
    for address, name in asked:
        if is_contact(address) and address not in found:
            found[address] = Contact(address, name.strip()[:LONGEST_NAME] or default_name(address))
    return list(found.values())[-MOST:]


def makes_room(contacts: Sequence[Contact]) -> Contact | None:
    """Whose place the next one takes; nobody's, while there is another."""
    return contacts[0] if len(contacts) >= MOST else None


def default_name(address: str) -> str:
    return dict(FIRST).get(address) or _NAMES[crc32(address.encode()) % len(_NAMES)]


def page_address(contacts: Iterable[Contact]) -> str:
    """Where exactly these are shown."""
    query = [pair for contact in contacts for pair in (("contact", contact.address), ("name", contact.name))]
    return f"/?{urlencode(query)}" if query else "/"


def without(contacts: Iterable[Contact], gone: Contact) -> list[Contact]:
    return [contact for contact in contacts if contact.address != gone.address]


def next_address(contacts: Iterable[Contact]) -> str:
    """A number that nobody on the page has, for whoever wants just another contact."""
    taken = {contact.address for contact in contacts}
    return next(address for number in range(1, 100) if (address := f"whatsapp:+55119777700{number:02d}") not in taken)
