"""Writes a word into a server of either kind, and reads the words back."""

import asyncpg
import redis

from simulator.servers import EmbeddedServer, EmbeddedValkey


async def remember(server: EmbeddedServer, word: str) -> None:
    if isinstance(server, EmbeddedValkey):
        with redis.Redis.from_url(server.url) as client:
            client.rpush("words", word)
        return
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
    await connection.execute("INSERT INTO words VALUES ($1)", word)
    await connection.close()


async def remembered(server: EmbeddedServer) -> list[str]:
    if isinstance(server, EmbeddedValkey):
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            words: list[str] = client.lrange("words", 0, -1)
            return words
    connection = await asyncpg.connect(server.url)
    rows = await connection.fetch("SELECT word FROM words")
    await connection.close()
    return [row["word"] for row in rows]
