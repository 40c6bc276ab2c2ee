"""What commands print of other people's texts: nothing that steers a terminal, and nothing lost to a script."""

import ast
import json
from pathlib import Path

import pytest

from commands.terminal import as_json, console, print_json, printable

COMMANDS = Path(__file__).parent.parent / "commands"
STEERING = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F))]
STEERING += [chr(code) for code in (*range(0x2066, 0x206A), 0xD800, 0xDFFF)]


@pytest.mark.parametrize("character", STEERING, ids=lambda character: f"U+{ord(character):04X}")
def test_no_character_that_steers_a_terminal_is_printed_or_lost_to_a_script(character: str) -> None:
    text = f"a{character}b"
    assert printable(text) == ("a\nb" if character == "\n" else "a\ufffdb")
    written = as_json({character: [text]}, indent=None)
    assert character not in written
    assert json.loads(written) == {character: [text]}


def test_letters_of_every_script_are_readable_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"body": "Olá, العربية, \u4f60\u597d, \N{PARTY POPPER}"}, indent=None)
    assert capsys.readouterr().out == '{"body": "Olá, العربية, \u4f60\u597d, \N{PARTY POPPER}"}\n'


def test_every_command_writes_json_in_this_one_way() -> None:
    for path in sorted(COMMANDS.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {name.name for each in ast.walk(tree) if isinstance(each, ast.Import) for name in each.names}
        assert "json" not in imported or path.name == "terminal.py", path.name


def test_what_a_contact_wrote_is_not_made_into_signs(capsys: pytest.CaptureFixture[str]) -> None:
    console.print("contact: :warning:", markup=False)
    assert capsys.readouterr().out == "contact: :warning:\n"
