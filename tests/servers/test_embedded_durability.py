"""What was acknowledged is there at the next start, however the last one ended."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from simulator.servers import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey, free_port

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
async def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(server: EmbeddedServer, tmp_path: Path) -> None:
    await remember(server, "olá")
    server.process.kill()
    server.process.wait()
    stranger = EmbeddedValkey(tmp_path / "stranger", free_port())
    stranger.start()
    pid_file = server.directory.path / "cluster" / "postmaster.pid"
    pid_file.write_text(re.sub(r"\A\d+", str(stranger.pid), pid_file.read_text()))
    server.start()
    stranger.stop()
    assert await remembered(server) == ["olá"]


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
