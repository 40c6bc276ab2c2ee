"""Users who sign in and have what a group role gives them, no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

PASSWORD = "right"


@asynccontextmanager
async def member_of(url: str, group: str | None = None) -> AsyncIterator[str]:
    """The database's URL for a new user, in a group or in none, who is gone afterwards."""
    name = f"user_{uuid4().hex}"
    administrator = await asyncpg.connect(url)
    try:
        await administrator.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {f'IN ROLE {group}' if group else ''}")
        yield signed_in_as(url, name)
        await administrator.execute(f"DROP ROLE {name}")
    finally:
        await administrator.close()


def signed_in_as(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"))
