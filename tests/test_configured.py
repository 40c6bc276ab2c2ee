"""Which system a command speaks to: what the environment names is never passed over in silence."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest

from development.directory import RunDirectory
from settings import Settings
from tests.acceptance.running import prosa

OURS, OTHERS = "127.0.0.1:1", "127.0.0.1:2"
"""Nobody listens on either: the complaint tells which one was meant."""
REDIS = "redis://127.0.0.1:2/0"
LIST = ("conversations", "list")
EXAMPLE = Path(__file__).parents[1] / ".env.example"


def addresses(place: str) -> dict[str, str]:
    return {
        "REDIS_URL": f"redis://{place}/0",
        "DATABASE_URL": f"postgresql://nobody:secret@{place}/prosa",
        "ENVIRONMENT": "development",
    }


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    """What `prosa dev` leaves there while it runs."""
    directory = RunDirectory(tmp_path / ".prosa")
    with directory.claimed():
        directory.write_addresses(addresses(OURS))
        yield directory


@pytest.mark.parametrize("command", [LIST, ("migrate",)])
async def test_a_command_beside_a_run_speaks_to_it_and_says_so(command: tuple[str, ...], run: RunDirectory) -> None:
    code, told = await prosa(*command, directory=run.path.parent)
    assert (code, told.splitlines()[0]) == (1, "of prosa dev in .prosa")
    assert OURS in told


@pytest.mark.parametrize("command", [LIST, ("migrate",)])
async def test_a_database_that_the_environment_names_is_the_one_that_is_meant(
    command: tuple[str, ...], run: RunDirectory
) -> None:
    database_url = addresses(OTHERS)["DATABASE_URL"]
    code, told = await prosa(*command, directory=run.path.parent, DATABASE_URL=database_url)
    assert (code, OTHERS in told, "prosa dev" in told) == (1, True, False)


async def test_a_log_that_the_environment_names_is_the_one_that_is_meant(run: RunDirectory) -> None:
    code, told = await prosa(*LIST, directory=run.path.parent, REDIS_URL=REDIS)
    assert (code, OURS in told, "prosa dev" in told) == (1, False, False)


@pytest.mark.parametrize("value", ["production", "Production", "prod"])
async def test_production_in_the_file_means_production(value: str, run: RunDirectory) -> None:
    """What cannot be understood there is complained of, and not taken for development."""
    (run.path.parent / ".env").write_text(f"ENVIRONMENT={value}\nDATABASE_URL={addresses(OTHERS)['DATABASE_URL']}\n")
    code, told = await prosa(*LIST, directory=run.path.parent)
    assert code != 0
    assert (OURS in told, "prosa dev" in told) == (False, False)
    _, told = await prosa("migrate", directory=run.path.parent)
    assert (OTHERS in told, "prosa dev" in told) == (True, False)


async def test_the_addresses_of_a_development_file_give_way_to_the_run(run: RunDirectory) -> None:
    (run.path.parent / ".env").write_text(f"DATABASE_URL={addresses(OTHERS)['DATABASE_URL']}\n")
    _, told = await prosa("migrate", directory=run.path.parent)
    assert (OURS in told, OTHERS in told) == (True, False)


async def test_a_directory_that_is_given_is_the_one_that_is_meant(run: RunDirectory) -> None:
    settings = {**addresses(OTHERS), "ENVIRONMENT": "production"}
    code, told = await prosa(*LIST, "--data", ".prosa", directory=run.path.parent, **settings)
    assert (code, OURS in told, told.splitlines()[0]) == (1, True, "of prosa dev in .prosa")


async def test_a_directory_that_is_given_and_in_which_nothing_runs_is_named(tmp_path: Path) -> None:
    code, told = await prosa(*LIST, "--data", "elsewhere", directory=tmp_path, **addresses(OTHERS))
    assert (code, f"nothing runs in {tmp_path / 'elsewhere'}; start it with: " in told) == (1, True)
    assert told.endswith("prosa dev --data elsewhere\n")


async def test_a_script_reads_nothing_but_what_it_asked_for(run: RunDirectory) -> None:
    _, told = await prosa(*LIST, "--json", directory=run.path.parent)
    assert OURS in told
    assert "prosa dev" not in told


async def test_a_migration_says_of_which_database_it_speaks(database_url: str, tmp_path: Path) -> None:
    place = database_url.rpartition("@")[2].removeprefix("postgresql://")
    code, told = await prosa("migrate", directory=tmp_path, DATABASE_URL=database_url)
    assert (code, told) == (0, f"The database {place} is up to date.\n")


@pytest.fixture
def stopped(tmp_path: Path) -> RunDirectory:
    """What `prosa dev` leaves there when it has ended."""
    directory = RunDirectory(tmp_path / ".prosa")
    for server in ("valkey", "postgres"):
        (directory.path / server).mkdir(parents=True)
    return directory


@pytest.mark.parametrize(
    "command", [("status",), LIST, ("dead-letters", "list"), ("sends", "list"), ("reconcile", "--since", "2h"), ("migrate",)]
)
async def test_beside_a_run_that_has_stopped_a_command_says_what_to_start(
    command: tuple[str, ...], stopped: RunDirectory
) -> None:
    """Its log may be why it has stopped: the line names the repair as well."""
    code, told = await prosa(*command, directory=stopped.path.parent)
    [line] = told.splitlines()
    assert code == 1
    assert line.startswith(f"prosa: nothing runs in {stopped.path}; start it with: make run; if it ended because its log lost")
    assert line.endswith("prosa repair")


@pytest.mark.parametrize("command", [("status",), LIST, ("migrate",)])
async def test_a_copy_of_the_example_names_no_other_system_than_the_run_that_has_stopped(
    command: tuple[str, ...], stopped: RunDirectory
) -> None:
    copyfile(EXAMPLE, stopped.path.parent / ".env")
    code, told = await prosa(*command, directory=stopped.path.parent)
    assert (code, f"nothing runs in {stopped.path}" in told) == (1, True)


async def test_a_copy_of_the_example_means_the_default_addresses_where_nothing_ever_ran(tmp_path: Path) -> None:
    copyfile(EXAMPLE, tmp_path / ".env")
    code, told = await prosa("doctor", "--json", directory=tmp_path)
    assert code == 2
    assert "127.0.0.1:5432" in told
    assert "othing runs in" not in told


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL"])
async def test_a_default_address_in_the_environment_is_meant_where_the_run_beside_has_stopped(
    name: str, stopped: RunDirectory
) -> None:
    default = Settings.model_fields[name.lower()].default.get_secret_value()
    code, told = await prosa(*LIST, directory=stopped.path.parent, **{name: default})
    assert (code, "nothing runs" in told) == (1, False)


async def test_beside_a_run_that_has_stopped_the_doctor_says_so_and_looks_at_what_needs_no_server(stopped: RunDirectory) -> None:
    code, told = await prosa("doctor", "--json", directory=stopped.path.parent)
    findings = {each["check"]: each for each in json.loads(told)["findings"]}
    assert code == 2
    assert set(findings) == {"settings", "versions", "prosa dev"}
    assert (findings["prosa dev"]["severity"], "make run" in findings["prosa dev"]["remedy"]) == ("error", True)
    assert findings["prosa dev"]["sentence"] == f"Nothing runs in {stopped.path}."


async def test_a_server_that_the_file_names_is_meant_where_the_run_beside_has_stopped(stopped: RunDirectory) -> None:
    (stopped.path.parent / ".env").write_text(f"DATABASE_URL={addresses(OTHERS)['DATABASE_URL']}\n")
    code, told = await prosa("migrate", directory=stopped.path.parent)
    assert (code, OTHERS in told, "nothing runs" in told) == (1, True, False)


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL"])
async def test_a_server_that_the_environment_names_is_meant_where_the_run_beside_has_stopped(
    name: str, stopped: RunDirectory
) -> None:
    code, told = await prosa(*LIST, directory=stopped.path.parent, **{name: addresses(OTHERS)[name]})
    assert (code, "nothing runs" in told) == (1, False)


async def test_a_repair_is_not_said_to_need_a_run(tmp_path: Path) -> None:
    code, told = await prosa("repair", "--help", directory=tmp_path, COLUMNS="500")
    assert (code, "Not given: .prosa, where one runs or has stopped there" in told) == (0, True)
