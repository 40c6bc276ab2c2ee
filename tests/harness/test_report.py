"""The table counts what the verdicts say, and says of what it does not count why."""

from tests.harness.campaign import KINDS
from tests.harness.crashes import Action, Crash
from tests.harness.report import COLUMNS, FAMILIES, IN_WORDS, family_of, markdown, summary, table
from tests.harness.verdict import Verdict

VERDICTS = [
    Verdict("crash sender.called:1 kill seed 1", "kill at sender.*", True, acked=20, recovery_seconds=1.0),
    Verdict("crash sender.called:2 kill seed 1", "kill at sender.*", True, acked=21, recovery_seconds=3.0),
    Verdict("crash sender.called:9 kill seed 1", "kill at sender.*", False, faults=0, acked=19),
    Verdict("log-flushed seed 1", "log-flushed", True, acked=18, fetched=2, recovery_seconds=5.0, is_settling=True),
]
BROKEN = Verdict(
    "log-hung seed 1",
    "log-hung",
    True,
    acked=10,
    unconfirmed=2,
    dead_lettered=3,
    violations=(
        "lost: SM1",
        "unanswered: SM1",
        "answered twice: SM2",
        "sent twice: R1",
        "out of order: SM3",
        "refold: rows",
        "hang: -",
    ),
)


def cells(text: str, name: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return line.removeprefix(name).split()


def test_a_line_counts_trials_and_what_was_acknowledged_and_how_long_it_took() -> None:
    assert cells(table(VERDICTS), "kill at sender.*") == ["2", "41", *["0"] * 7, "3.0", "3.0", "3.0", "-", "-", "-"]
    assert cells(table(VERDICTS), "log-flushed") == ["1", "18", *["0"] * 7, "-", "-", "-", "5.0", "5.0", "5.0"]
    assert cells(table(VERDICTS), "all") == ["3", "59", *["0"] * 7, "3.0", "3.0", "3.0", "5.0", "5.0", "5.0"]


def test_every_violation_stands_in_the_column_of_its_law_and_none_in_two() -> None:
    found = dict(zip(COLUMNS[1:], cells(table([BROKEN]), "log-hung"), strict=False))
    wanted = {"lost": "2", "answered 2x": "1", "sent 2x": "1", "reordered": "1", "other": "2", "unconfirmed": "2"}
    assert {name: found[name] for name in wanted} == wanted
    assert found["dead letters"] == "3"


def test_a_crash_that_never_happened_is_told_apart_and_counts_nothing() -> None:
    assert "not counted, since their point was passed less often than on a calm day: 1." in summary(VERDICTS)
    assert "0 of 3 trials, with 59 acknowledged messages, broke a law" in summary(VERDICTS)


def test_no_bound_is_claimed_where_a_law_was_broken() -> None:
    assert "fewer than 10.0 faults in 1,000" in summary(VERDICTS * 100)
    assert "95 %" not in summary(VERDICTS), "so few prove little"
    assert "1 of 4 trials" in summary([*VERDICTS, BROKEN])
    assert "95 %" not in summary([*VERDICTS * 100, BROKEN])


def test_markdown_has_a_cell_for_each_column_and_the_command() -> None:
    text = markdown(VERDICTS, "make faults")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {len(IN_WORDS) + 1}
    assert len(rows) == 2 + 2 + 1, "two families and all"
    assert "make faults" in text


def test_nothing_at_all_is_a_table_too() -> None:
    assert cells(table([]), "all")[0] == "0"
    assert "0 of 0 trials" in summary([])


def test_every_class_has_a_family_and_no_family_is_of_nothing() -> None:
    crashes = [Crash("sender.called", 1, action).name for action in Action]
    assert {family_of(name) for name in (*crashes, "storm", *(fault.name for fault in KINDS))} == {words for _, words in FAMILIES}
