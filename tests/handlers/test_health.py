"""Health and metrics of a process that has no web server of its own."""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
from structlog.testing import capture_logs

import metrics
from handlers.health import Vitals, served
from simulator.servers import free_port


@dataclass
class Patient:
    """A process that is as well as the test says."""

    hangs: list[str] = field(default_factory=list)
    ails: list[str] = field(default_factory=list)
    observed: int = 0

    @property
    def vitals(self) -> Vitals:
        async def problems() -> Sequence[str]:
            return self.ails

        def observe() -> None:
            self.observed += 1
            metrics.TICK_AGE_SECONDS.of().set(self.observed)

        return Vitals(metrics.CLOCK, hung=lambda: self.hangs, problems=problems, observe=observe)


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_it_tells_what_keeps_the_process_from_its_work() -> None:
    port, patient = free_port(), Patient()
    async with served("127.0.0.1", port, patient.vitals):
        assert await get(port, "/health/ready") == (200, '{"status": "ok", "problems": []}')
        patient.ails.append("sender does not read")
        assert await get(port, "/health/ready") == (503, '{"status": "unavailable", "problems": ["sender does not read"]}')
        assert (await get(port, "/health/live"))[0] == 200
        patient.ails.clear()
        assert (await get(port, "/health/ready"))[0] == 200


async def test_a_loop_that_hangs_is_neither_alive_nor_ready() -> None:
    port, patient = free_port(), Patient(hangs=["the loop 'ticks' hangs"])
    async with served("127.0.0.1", port, patient.vitals):
        for path in ("/health/live", "/health/ready"):
            status, text = await get(port, path)
            assert (status, json.loads(text)["problems"]) == (503, patient.hangs)


async def test_gauges_are_set_when_metrics_are_asked_for() -> None:
    port, patient = free_port(), Patient()
    async with served("127.0.0.1", port, patient.vitals):
        await get(port, "/metrics")
        status, text = await get(port, "/metrics")
    assert status == 200
    assert "prosa_tick_age_seconds 2.0" in text
    assert "python_info" in text


async def test_a_port_that_is_taken_is_told_and_gone_without() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as lines:
        port = taken.getsockname()[1]
        async with served("127.0.0.1", port, Patient().vitals):
            pass
    assert [(line["event"], line["port"]) for line in lines] == [("health.not_served", port)]
