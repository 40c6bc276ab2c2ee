"""Health and metrics of a process that has no web server of its own."""

import socket

import aiohttp
from structlog.testing import capture_logs

from handlers.health import served
from simulator.servers import free_port


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_it_tells_what_keeps_the_process_from_its_work() -> None:
    port, problems = free_port(), list[str]()
    async with served("127.0.0.1", port, live=lambda: [], ready=lambda: problems):
        assert await get(port, "/health/ready") == (200, '{"status": "ok", "problems": []}')
        problems.append("sender does not read")
        assert await get(port, "/health/ready") == (503, '{"status": "unavailable", "problems": ["sender does not read"]}')
        assert (await get(port, "/health/live"))[0] == 200


async def test_metrics_are_served() -> None:
    port = free_port()
    async with served("127.0.0.1", port, live=lambda: [], ready=lambda: []):
        status, text = await get(port, "/metrics")
    assert status == 200
    assert "python_info" in text


async def test_a_port_that_is_taken_is_told_and_gone_without() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as lines:
        port = taken.getsockname()[1]
        async with served("127.0.0.1", port, live=lambda: [], ready=lambda: []):
            pass
    assert [(line["event"], line["port"]) for line in lines] == [("health.not_served", port)]


async def test_the_port_is_free_again_afterwards() -> None:
    port = free_port()
    for _ in range(2):
        async with served("127.0.0.1", port, live=lambda: [], ready=lambda: []):
            assert (await get(port, "/health/live"))[0] == 200
