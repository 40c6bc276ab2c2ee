"""The kinds of values that a setting can have, and what is wrong with one that is none. What is raised never tells the value."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a kind of value is, in words for the docs."""

    words: str


def _redis_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("does not begin with redis:// or rediss://")
    if not url.startswith("unix://"):
        _port_of(url)
        if not _is_database_number(urlsplit(url).path):
            raise ValueError(f"does not end in a database's number, such as /0; {ESCAPED}")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("does not begin with postgresql://")
    _port_of(url)
    return value


ESCAPED = "write special characters of a password as in a URL: %40 for @, %2F for /, %23 for #"


def _port_of(url: str) -> int | None:
    try:
        port = urlsplit(url).port
    except ValueError:
        raise ValueError(f"has no readable port; {ESCAPED}") from None
    if port == 0:
        raise ValueError("has the port 0")
    return port


def _is_database_number(path: str) -> bool:
    return path.strip("/") == "" or path.strip("/").isdecimal()


def _base_url(value: str) -> str:
    try:
        address = urlsplit(value)
        is_complete = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        is_complete = False
    if not is_complete:
        raise ValueError("is not an http(s) address; write it whole, such as https://prosa.example.com")
    if address.query:
        raise ValueError("has a query; leave out what follows the ?")
    return value.partition("#")[0].rstrip("/")


_OUR_ADDRESS = re.compile(r"whatsapp:\+[1-9][0-9]{6,14}")
"""A number as E.164 writes it, 15 digits at most. A contact may come under a user id instead of a number; we never do."""


def _address(value: str) -> str:
    if not _OUR_ADDRESS.fullmatch(value):
        raise ValueError(
            "is not an address such as whatsapp:+14155238886; after the + come digits alone, without a space, 15 at most"
        )
    return value


def _level(value: str) -> str:
    level = value.upper()
    if level not in LEVELS:
        raise ValueError(f"is not one of {', '.join(LEVELS)}")
    return level


def _some_token(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not value:
        raise ValueError("is empty; webhooks would be unsigned")
    return value


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return () if _is_none(value) else tuple(part.strip() for part in value.split(",") if part.strip())


def _is_none(value: str) -> bool:
    """An empty variable means the default, so that emptiness itself needs a word."""
    return value.strip().lower() == "none"


_COMMAS = (NoDecode, BeforeValidator(_split), Accepts("words, comma-separated, or `none`"))

RedisUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_redis_url), Accepts("`redis://` or `rediss://` address")]
DatabaseUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_database_url), Accepts("`postgresql://` address")]
BaseUrl: TypeAlias = Annotated[str, AfterValidator(_base_url), Accepts("http(s) address")]
OptionalBaseUrl: TypeAlias = Annotated[
    str | None, AfterValidator(lambda value: value and _base_url(value)), Accepts("http(s) address")
]
WhatsAppAddress: TypeAlias = Annotated[str, AfterValidator(_address), Accepts("`whatsapp:+` and the digits of a number")]
LogLevel: TypeAlias = Annotated[str, AfterValidator(_level), Accepts(", ".join(f"`{level}`" for level in LEVELS))]
CommaSeparated: TypeAlias = Annotated[tuple[str, ...], *_COMMAS]
Tokens: TypeAlias = Annotated[tuple[SecretStr, ...], AfterValidator(_some_token), *_COMMAS[:2], Accepts("words, comma-separated")]
NoneIsEmpty: TypeAlias = Annotated[str, AfterValidator(lambda value: "" if _is_none(value) else value)]
