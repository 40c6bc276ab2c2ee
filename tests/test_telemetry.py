"""Log lines: what people read in development, and what a machine reads in production."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telemetry import EVENT_WIDTH, TextLine, line_start, ranges

ROOT = Path(__file__).parents[1]
ULID = "01M7YEMC2NHSYP4834S2QSJ1GW"
IDS: dict[str, Any] = {
    "event_id": ULID,
    "correlation_id": ULID,
    "thread_hash": "c5ce05e18218",
    "partition": 3,
    "owner": "default",
}

PRODUCTION = {
    "SECRET_KEY": "s" * 32,
    "ENVIRONMENT": "production",
    "TWILIO_AUTH_TOKEN": "t" * 32,
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "PUBLIC_BASE_URL": "https://prosa.example",
}

WRITER = """
import logging, sys
from settings import Settings
from telemetry import configure_logging, log, name_worker
configure_logging(Settings(_env_file=None), process="handlers")
"""


def line(event: str, *, level: str = "info", is_verbose: bool = False, has_colours: bool = False, **values: Any) -> str:
    told = {"event": event, "level": level, "timestamp": "07:02:49", "process": "webhook", **values}
    return TextLine(has_colours=has_colours, is_verbose=is_verbose)(None, level, told)


def written(script: str, **environment: str) -> str:
    """What a process of its own writes to standard error."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", WRITER + script],
        env={"PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stderr


def test_a_line_for_people_has_the_time_the_process_what_happened_and_what_matters() -> None:
    assert (
        line("reply.generated", **IDS, model="offline")
        == "07:02:49 webhook    reply generated           thread=c5ce05 model=offline"
    )


def test_no_ids_stand_in_a_line_for_people() -> None:
    assert "01M7" not in line("message.received", **IDS)
    assert "default" not in line("started", owner="default")


def test_a_line_at_debug_has_every_value() -> None:
    told = line("message.received", is_verbose=True, **IDS)
    assert all(f"{name}={value}" in told for name, value in IDS.items())


def test_the_partition_is_told_where_the_line_is_about_it() -> None:
    assert line("partition.declined", partition=3).endswith("partition=3")


@pytest.mark.parametrize(
    ("name", "words"), [("event.dead_lettered", "event dead lettered"), ("Running: 1 app", "Running: 1 app")]
)
def test_the_name_of_an_event_reads_as_words(name: str, words: str) -> None:
    assert line(name).endswith(words)


def test_a_warning_says_so_without_colours() -> None:
    assert line("reply.failed", level="warning").endswith("WARNING: reply failed")


def test_values_stand_below_each_other() -> None:
    starts = {line(event, code=1).index("code=1") for event in ("started", "reply.sent", "x" * EVENT_WIDTH)}
    assert len(starts) == 1


@pytest.mark.parametrize("hostile", ["two\nlines", "\x1b[2Jgone", "back\rspace", "nul\0", "\u2028"])
def test_nobody_writes_a_second_line_or_to_the_terminal(hostile: str) -> None:
    for told in (line("webhook.malformed", fields=hostile), line(hostile)):
        assert told.isprintable()


def test_colours_are_for_the_time_the_process_and_the_values() -> None:
    assert line("reply.sent", has_colours=True, code=1).count("\x1b[0m") == 3
    assert line_start("07:02:49", "handlers 2", has_colours=True) != line_start("07:02:49", "handlers 2", has_colours=False)


@pytest.mark.parametrize(
    ("environment", "has_colours"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_colours_are_for_a_terminal_or_where_they_are_asked_for(environment: dict[str, str], has_colours: bool) -> None:
    assert ("\x1b" in written("log.info('started')", **environment)) is has_colours


def test_in_production_each_line_is_one_json_object_with_all_ids() -> None:
    script = f"log.info('message.received', kind=None, **{IDS!r}); log.warning('two\\nlines')"
    first, second = [json.loads(each) for each in written(script, **PRODUCTION).splitlines()]
    assert first.items() >= {**IDS, "event": "message.received", "process": "handlers", "level": "info"}.items()
    assert "kind" not in first
    assert second["event"] == "two\nlines"


def test_what_libraries_tell_is_told_in_the_same_form_from_warnings_on() -> None:
    script = "for name in ('faststream', 'uvicorn.error'): [logging.getLogger(name).log(n, 'level %d', n) for n in (20, 30)]"
    lines = written(script).splitlines()
    assert [each.split(maxsplit=2)[1:] for each in lines] == [["handlers", "WARNING: level 30"]] * 2
    assert "level 20" in written(script, LOG_LEVEL="DEBUG")


def test_what_holds_addresses_of_contacts_is_not_told_even_at_debug() -> None:
    assert written("logging.getLogger('httpx2').info('To=whatsapp:+55')", LOG_LEVEL="DEBUG") == ""


def test_each_worker_has_its_number_from_one_on() -> None:
    assert [each.split(maxsplit=1)[1][:10] for each in written("name_worker(1); log.info('started')").splitlines()] == [
        "handlers 2"
    ]


def test_a_line_that_nobody_reads_breaks_no_work() -> None:
    """The children of a `prosa dev` that was killed go on until they notice."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    script = WRITER + "log.info('started'); logging.getLogger('other').warning('too'); print('went on')"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=write_end, text=True, timeout=30, check=False,
    )  # fmt: skip
    os.close(write_end)
    assert done.stdout == "went on\n"


@pytest.mark.parametrize(
    ("numbers", "shown"), [([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([7, 0, 1, 3], "0-1,3,7"), (range(1024), "0-1023")]
)
def test_many_numbers_are_one_short_value(numbers: list[int], shown: str) -> None:
    assert ranges(numbers) == shown
