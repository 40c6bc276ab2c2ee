"""
Every event of every version that was ever written is read for ever.

The golden files are the events' bytes as they stand in logs. They are never edited; a new version adds a file.
"""

import re
from pathlib import Path

import pytest

from streams.envelope import decode, encode, name_of
from streams.events import CATALOGUE
from streams.upcasters import UPCASTERS

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
NAME = re.compile(r"(?P<name>[a-z_.]+)\.v(?P<version>[0-9]+)\.json")


def named(path: Path) -> tuple[str, int]:
    found = NAME.fullmatch(path.name)
    assert found, path.name
    return found["name"], int(found["version"])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_decodes_to_its_newest_version(path: Path) -> None:
    name, _ = named(path)
    event = decode(path.read_bytes())
    assert event.data.name == name
    assert type(event.data) is CATALOGUE[name]


@pytest.mark.parametrize(
    "path", [path for path in GOLDEN if CATALOGUE[named(path)[0]].version == named(path)[1]], ids=lambda path: path.stem
)
def test_an_event_of_the_newest_version_is_written_as_the_same_bytes(path: Path) -> None:
    value = path.read_bytes()
    assert encode(decode(value)) == value


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_name_of_an_event_is_told_without_decoding_it(path: Path) -> None:
    assert name_of(path.read_bytes()) == named(path)[0]


def test_every_version_of_every_event_has_a_golden_file() -> None:
    expected = {(name, version) for name, data in CATALOGUE.items() for version in range(1, data.version + 1)}
    assert {named(path) for path in GOLDEN} == expected


def test_every_version_but_the_newest_has_an_upcaster() -> None:
    expected = {(name, version) for name, data in CATALOGUE.items() for version in range(1, data.version)}
    assert set(UPCASTERS) == expected


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_tells_every_field_of_its_data(path: Path) -> None:
    """A field that a golden file leaves at its default would be guarded by nothing."""
    name, version = named(path)
    data = decode(path.read_bytes()).data
    if version == CATALOGUE[name].version:
        assert set(data.model_dump(mode="json")) == set(type(data).model_fields)
        assert all(value is not None for value in data.model_dump().values())
