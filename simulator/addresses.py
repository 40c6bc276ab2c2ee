"""WhatsApp addresses: a phone, or a business-scoped user id of a contact who hides the phone."""

import re
from zlib import crc32

PHONE = re.compile(r"whatsapp:\+[1-9]\d{6,14}")
USER_ID = re.compile(r"whatsapp:[A-Z]{2}\.[0-9A-Za-z]{1,128}")


def is_phone(address: str) -> bool:
    return PHONE.fullmatch(address) is not None


def is_user_id(address: str) -> bool:
    return USER_ID.fullmatch(address) is not None


def is_contact(address: str) -> bool:
    return is_phone(address) or is_user_id(address)


def without_channel(address: str) -> str:
    return address.removeprefix("whatsapp:")


def masked(address: str) -> str:
    """As status callbacks show it: the last four characters are hidden."""
    return without_channel(address)[:-4] + "XXXX"


def user_id_of(phone: str) -> str:
    """The business-scoped user id that always goes with this phone. The country is right for Brazil only."""
    country = "BR" if phone.startswith("whatsapp:+55") else "US"
    return f"whatsapp:{country}.{crc32(phone.encode()):010d}{len(phone):06d}"
