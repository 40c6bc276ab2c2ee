"""No server outlives the process that started it, and nothing but that process stops it."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import embedded_directory, embedded_launch
from simulator.embedded_server import is_taken
from simulator.servers import DirectoryInUse, EmbeddedServer, free_port

from .memory import remembered
from .programs import first_line, rest_of_output, run_python

Make = Callable[[], EmbeddedServer]

PARENT = """
import asyncio, sys, threading
from pathlib import Path
from simulator import servers
from tests.servers.memory import remember
server = getattr(servers, sys.argv[1])(Path(sys.argv[2]), int(sys.argv[3]))
server.start()
asyncio.run(remember(server, "olá"))
print("olá", flush=True)
threading.Event().wait()
"""

WATCHED = """
import os, subprocess, sys, threading
server = subprocess.Popen([sys.executable, "-c", "import threading; print(flush=True); threading.Event().wait()"], stdout=1)
watch = subprocess.Popen([sys.executable, sys.argv[1], "watch", str(os.getpid()), str(server.pid), "9"])
threading.Event().wait()
"""


async def test_a_server_ends_with_a_parent_that_was_killed(
    kind: type[EmbeddedServer], directory: Path, make_server: Make
) -> None:
    """The next start waits for that: it claims the directory when the last process of the old server is gone."""
    port = free_port()
    with run_python("-c", PARENT, kind.__name__, str(directory), str(port)) as parent:
        word = first_line(parent).decode().strip()
        assert is_taken(port)
        parent.kill()
    again = make_server()
    again.start()
    assert not is_taken(port)
    assert await remembered(again) == [word]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the watch does this")
def test_a_launch_whose_parent_is_gone_already_starts_nothing(tmp_path: Path) -> None:
    launch = embedded_launch.Launch(parent=os.getpid() + 1, death_signal=9, user=None, reach=[])
    trace = tmp_path / "trace"
    with run_python(embedded_launch.__file__, json.dumps(launch), "/usr/bin/touch", str(trace)) as launcher:
        assert launcher.wait() != 0
    assert not trace.exists()


def test_the_watch_ends_a_server_whose_parent_was_killed() -> None:
    """It stands in for the kernel's signal where there is none."""
    with run_python("-c", WATCHED, embedded_launch.__file__) as parent:
        first_line(parent)
        parent.kill()
        assert rest_of_output(parent) == b""


def test_ctrl_c_does_not_reach_a_server(server: EmbeddedServer) -> None:
    assert os.getsid(server.pid) == server.pid
    assert os.getsid(0) != server.pid


def test_a_stop_ends_the_process_and_frees_the_port(server: EmbeddedServer) -> None:
    server.stop()
    assert server.process.returncode == 0
    assert not is_taken(server.port)
    server.stop()


def test_a_server_that_does_not_listen_to_a_stop_is_killed(server: EmbeddedServer) -> None:
    server.process.send_signal(signal.SIGSTOP)
    server.stop(timeout_seconds=0.1)
    assert server.process.returncode == -signal.SIGKILL


def test_two_servers_never_run_on_one_directory(
    server: EmbeddedServer, make_server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_directory, "LEFTOVER_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(DirectoryInUse):
        make_server().start()
    assert server.process.poll() is None
