"""The table of a campaign: one line for each class of fault."""

from collections.abc import Iterable, Sequence

from tests.harness.verdict import Verdict

LOST = ("lost", "unanswered", "hang")
ANSWERED_TWICE = ("answered twice", "coverage")
SENT_TWICE = ("sent twice", "superseded", "withdrawn")
OUT_OF_ORDER = ("out of order", "forgotten")
COLUMNS = (
    *("fault", "faults", "acked", "lost", "answered 2x", "sent 2x", "reordered", "other", "unconfirmed", "dead-lettered"),
    *("p50 s", "p95 s", "max s", "settling: p50 s", "p95 s", "max s"),
)


def table(verdicts: Iterable[Verdict]) -> str:
    """
    Columns apart by two blanks; the last line sums up.

    Recovery is the longest that a contact waited for an answer after the fault; where a send of unknown outcome had to be
    settled, it stands under `settling`.
    """
    happened = [verdict for verdict in verdicts if verdict.has_happened or verdict.violations]
    classes = list(dict.fromkeys(verdict.fault for verdict in happened))
    lines = [_line(name, [verdict for verdict in happened if verdict.fault == name]) for name in classes]
    rows = [COLUMNS, *lines, _line("all", happened)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in rows)


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _line(name: str, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    laws = [violation.partition(":")[0] for verdict in verdicts for violation in verdict.violations]
    named = (*LOST, *ANSWERED_TWICE, *SENT_TWICE, *OUT_OF_ORDER)
    counts = [sum(law in group for law in laws) for group in (LOST, ANSWERED_TWICE, SENT_TWICE, OUT_OF_ORDER)]
    waits = [verdict for verdict in verdicts if verdict.recovery_seconds is not None]
    return (
        name,
        str(sum(verdict.faults for verdict in verdicts)),
        str(sum(verdict.acked for verdict in verdicts)),
        *map(str, counts),
        str(sum(law not in named for law in laws)),
        str(sum(verdict.unconfirmed for verdict in verdicts)),
        str(sum(verdict.dead_lettered for verdict in verdicts)),
        *quantiles([each.recovery_seconds or 0.0 for each in waits if not each.is_settling]),
        *quantiles([each.recovery_seconds or 0.0 for each in waits if each.is_settling]),
    )


def quantiles(seconds: Sequence[float]) -> tuple[str, str, str]:
    """The median, the 95th of a hundred, the longest."""
    if not seconds:
        return ("-", "-", "-")
    ordered = sorted(seconds)
    p50, p95 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95))
    return (f"{p50:.1f}", f"{p95:.1f}", f"{ordered[-1]:.1f}")
