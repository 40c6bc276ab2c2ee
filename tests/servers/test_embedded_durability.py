"""What was acknowledged is there at the next start, however the last one ended."""

import os
import signal
from collections.abc import Callable

import pytest
import redis

from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey

from .memory import remember, remembered

Make = Callable[[], EmbeddedServer]


async def test_what_was_written_is_there_after_a_stop_and_a_start(server: EmbeddedServer, make_server: Make) -> None:
    await remember(server, "olá")
    server.stop()
    again = make_server()
    again.start()
    assert await remembered(again) == ["olá"]


async def test_what_was_written_is_there_after_a_sigkill(server: EmbeddedServer, make_server: Make) -> None:
    await remember(server, "olá")
    server.process.kill()
    server.process.wait()
    again = make_server()
    again.start()
    assert await remembered(again) == ["olá"]


async def test_a_server_starts_again_after_it_was_stopped(server: EmbeddedServer) -> None:
    await remember(server, "olá")
    server.stop()
    server.start()
    assert await remembered(server) == ["olá"]


@pytest.mark.parametrize("kind", [EmbeddedPostgres])
async def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(server: EmbeddedServer, make_server: Make) -> None:
    await remember(server, "olá")
    server.process.kill()
    server.process.wait()
    pid_file = server.directory.path / "cluster" / "postmaster.pid"
    stranger = make_server()
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    stranger.start()
    assert await remembered(stranger) == ["olá"]


@pytest.mark.parametrize("kind", [EmbeddedPostgres])
async def test_an_interrupted_initdb_is_begun_again(make_server: Make) -> None:
    server = make_server()
    unfinished = server.directory.path / "unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18")
    server.start()
    await remember(server, "olá")
    assert await remembered(server) == ["olá"]


@pytest.mark.parametrize("kind", [EmbeddedValkey])
async def test_an_append_only_file_cut_in_its_last_entry_is_read_up_to_there(server: EmbeddedServer, make_server: Make) -> None:
    await remember(server, "whole")
    await remember(server, "cut")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    (last,) = (server.directory.path / "appendonlydir").glob("*.incr.aof")
    os.truncate(last, last.stat().st_size - 3)
    again = make_server()
    again.start()
    assert await remembered(again) == ["whole"]


@pytest.mark.parametrize("kind", [EmbeddedValkey])
def test_valkey_keeps_every_write_and_evicts_nothing(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        settings = client.config_get("append*", "save", "maxmemory-policy", "bind")
    assert isinstance(settings, dict)
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "always"
    assert settings["save"] == ""
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["bind"] == "127.0.0.1"
