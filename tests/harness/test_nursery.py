"""Processes forked from a zygote are as good as others: each on its own, killed and told of, different, gone at the end."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.processes import descendants
from tests.harness.crashes import EXIT_CODE, Action, Crash, fired, passings
from tests.harness.nursery import Child, Nursery, nursery
from tests.harness.programs import clean_environment
from tests.harness.system import eventually

SECONDS = 20.0
PROGRAM = """
import os, random, sys, threading, time
from ulid import ULID
from streams.crash_points import reached
print(os.environ["WORD"], os.getcwd(), *sys.argv[1:], random.random(), ULID(), os.getsid(0) == os.getpid(), flush=True)
for word in sys.argv[1:]:
    if word == "wait": time.sleep(600)
    if word == "fail": sys.exit(7)
    if word == "raise": raise ValueError("as it is")
    if word == "pass": reached("sender.called")
    if word == "thread": threading.Thread(target=lambda: (time.sleep(0.1), print("the last word"))).start()
"""


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Nursery]:
    async with nursery(tmp_path / "zygote.txt") as found:
        yield found


async def started(children: Nursery, folder: Path, *words: str, crash: Crash | None = None, points: bool = False) -> Child:
    (folder / "program_of_a_test.py").write_text(PROGRAM)
    return await children.start(
        ["program_of_a_test", *words],
        environment=clean_environment(WORD="hello"),
        directory=folder,
        output=folder / "output.txt",
        points=folder if points or crash else None,
        crash=crash,
    )


async def said(folder: Path, words: str) -> str:
    output = folder / "output.txt"

    async def has_said() -> bool:
        return output.exists() and words in output.read_text()

    await eventually(has_said, SECONDS, words)
    return output.read_text()


async def test_a_process_has_its_own_environment_folder_output_session_and_end(children: Nursery, tmp_path: Path) -> None:
    assert (await (await started(children, tmp_path, "fail")).wait(SECONDS)).code == 7
    words = (await said(tmp_path, "hello")).split()
    assert words[:3] == ["hello", str(tmp_path), "fail"]
    assert words[-1] == "True"


async def test_no_two_processes_draw_the_same_random_numbers_or_identifiers(children: Nursery, tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert (await (await started(children, folder)).wait(SECONDS)).code == 0
    lines = [(await said(tmp_path / str(number), "hello")).split() for number in range(3)]
    assert len({line[2] for line in lines}) == 3
    assert len({line[3][10:] for line in lines}) == 3, "the first ten characters are the time"


async def test_what_is_raised_is_told_and_threads_have_the_last_word(children: Nursery, tmp_path: Path) -> None:
    assert (await (await started(children, tmp_path, "thread", "raise")).wait(SECONDS)).code == 1
    output = await said(tmp_path, "the last word")
    assert "ValueError: as it is" in output


async def test_a_kill_is_told_and_reaches_nobody_afterwards(children: Nursery, tmp_path: Path) -> None:
    child = await started(children, tmp_path, "wait")
    await said(tmp_path, "hello")
    assert child.is_alive
    child.signal(signal.SIGKILL)
    assert (await child.wait(SECONDS)).code == -signal.SIGKILL
    child.signal(signal.SIGKILL)
    assert (await (await started(children, tmp_path)).wait(SECONDS)).code == 0


async def test_nobody_outlives_the_nursery(tmp_path: Path) -> None:
    before = {process.pid for process in descendants(os.getpid())}
    async with nursery(tmp_path / "zygote.txt") as children:
        child = await started(children, tmp_path, "wait")
        await said(tmp_path, "hello")
        below = [process for process in descendants(os.getpid()) if process.pid not in before]
        assert child.pid in {process.pid for process in below}

    async def are_gone() -> bool:
        return not any(process.is_alive for process in below)

    await eventually(are_gone, SECONDS, "all are gone")


@pytest.mark.parametrize(("action", "code"), [(Action.KILL, -signal.SIGKILL), (Action.EXIT, EXIT_CODE)])
async def test_a_process_ends_at_the_named_passing_and_only_once(
    action: Action, code: int, children: Nursery, tmp_path: Path
) -> None:
    crash = Crash("sender.called", 2, action)
    first = await started(children, tmp_path, "pass", crash=crash)
    assert ((await first.wait(SECONDS)).code, fired(tmp_path)) == (0, None)
    second = await started(children, tmp_path, "pass", crash=crash)
    assert (await second.wait(SECONDS)).code == code
    noted = fired(tmp_path)
    assert noted is not None
    assert noted.pid == second.pid
    third = await started(children, tmp_path, "pass", "pass", crash=crash)
    assert (await third.wait(SECONDS)).code == 0
    assert passings(tmp_path) == {"sender.called": 4}


async def test_a_process_that_stops_itself_goes_on_when_it_is_woken(children: Nursery, tmp_path: Path) -> None:
    child = await started(children, tmp_path, "pass", "fail", crash=Crash("sender.called", 1, Action.STOP))

    async def has_stopped() -> bool:
        return fired(tmp_path) is not None

    await eventually(has_stopped, SECONDS, "it stops")
    with pytest.raises(TimeoutError):
        await child.wait(0.2)
    child.signal(signal.SIGCONT)
    assert (await child.wait(SECONDS)).code == 7


async def test_another_point_is_passed_unharmed_and_every_one_is_counted_where_none_is_armed(
    children: Nursery, tmp_path: Path
) -> None:
    unarmed = await started(children, tmp_path, "pass", "pass", points=True)
    assert (await unarmed.wait(SECONDS)).code == 0
    assert passings(tmp_path) == {"sender.called": 2}
    armed = await started(children, tmp_path, "pass", crash=Crash("sender.calling", 1, Action.KILL))
    assert (await armed.wait(SECONDS)).code == 0
