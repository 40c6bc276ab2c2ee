"""No test sees what another one left."""

import asyncpg
import pytest
import redis

from tests.conftest import REDIS_DATABASES


@pytest.mark.parametrize("_time", range(REDIS_DATABASES), ids=str)
def test_a_redis_database_is_empty_also_when_its_number_comes_round_again(redis_url: str, _time: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


@pytest.mark.parametrize("_time", range(2), ids=str)
async def test_a_database_is_empty(database_url: str, _time: int) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE left_behind ()")  # a second time would be an error
    await connection.close()
