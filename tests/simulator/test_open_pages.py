"""How many pages are kept up to date at once."""

from contextlib import AsyncExitStack

from simulator.phone.stream import MOST_OPEN_PAGES
from tests.simulator.stand_in import StandIn, eventually


async def test_one_page_too_many_is_refused_until_another_one_is_closed(stand_in: StandIn) -> None:
    async def status() -> int:
        async with stand_in.http.get(f"{stand_in.url}/phone/live") as response:
            if response.status == 503:
                assert f"{MOST_OPEN_PAGES} pages are open" in (await response.json())["message"]
            return response.status

    async with AsyncExitStack() as pages:
        opened = [
            await pages.enter_async_context(stand_in.http.get(f"{stand_in.url}/phone/live")) for _ in range(MOST_OPEN_PAGES)
        ]
        assert {response.status for response in opened} == {200}
        assert await status() == 503
        opened[0].close()

        async def is_let_in() -> bool:
            return await status() == 200

        await eventually(is_let_in)
