"""The table of a campaign: a line for each class of fault, as text for a terminal, or by family as Markdown for the docs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from tests.harness.verdict import Verdict

LOST = ("lost", "unanswered")
ANSWERED_TWICE = ("answered twice", "coverage")
SENT_TWICE = ("sent twice", "superseded", "withdrawn")
OUT_OF_ORDER = ("out of order", "forgotten")
GROUPS = (LOST, ANSWERED_TWICE, SENT_TWICE, OUT_OF_ORDER)
COLUMNS = (
    *("fault", "trials", "acked", "lost", "answered 2x", "sent 2x", "reordered", "other", "unconfirmed", "dead letters"),
    *("wait: p50", "p95", "max s", "settling: p50", "p95", "max s"),
)
IN_WORDS = (
    *("faults", "trials", "messages acknowledged", "lost", "answered twice", "sent twice", "out of order", "other violations"),
    *("unconfirmed", "dead letters", "recovery p50", "p95", "max", "with settling p50", "p95", "max"),
)
LEGEND = """
trials         in which the fault happened
acked          messages that Twilio was told 200 for; of others only that they are not doubled is asked
lost ... other violations as the checker finds them at the end, by law; one message may break several. `other`: the read model
               says something else than the log, or than Twilio; a group is behind; a trial that does not come to its end
unconfirmed    sends left to a person, allowed only where nothing could tell and absence is no proof (`-no-proof`)
dead letters   allowed only where Twilio could not deliver (`callbacks-failing-*`) or a model gave nothing usable (`model-*`)
wait           seconds from the fault until a trial's last waiting contact was answered: p50, p95 and maximum over the trials
settling       the same where a send of unknown outcome was looked for first, after a lease (2 s) and the proof's time (1 s)
""".strip("\n")
WHOLE_PROCESSES = "a worker, the webhook or everything killed, stopped or paused at any moment"
FAMILIES: Sequence[tuple[str, str]] = (
    ("kill at *", "a process killed at a crash point"),
    ("stop at *", "a process paused at a crash point, and woken after others took over"),
    ("exit at *", "a process that leaves at a crash point"),
    ("kill-*", WHOLE_PROCESSES),
    ("pause-*", WHOLE_PROCESSES),
    ("process-*", WHOLE_PROCESSES),
    ("log-flushed*", "the log loses everything, and is repaired"),
    ("log-stream-deleted", "a stream is deleted, and the log repaired"),
    ("log-tail-*", "the log's file loses its tail, and is repaired"),
    ("*-link-*", "a connection cut, reset, delayed, throttled, held or half open"),
    ("log-*", "Redis refuses, is away, hangs, restarts"),
    ("postgres-*", "Postgres refuses, is away, hangs, restarts, ends sessions, fails commits"),
    ("create-*", "sends broken off, late, slow or refused"),
    ("callbacks-*", "callbacks lost, late, doubled, reversed, failing later"),
    ("listing-*", "Twilio's list late, refused, broken off"),
    ("inbound-*", "webhooks doubled, replayed, never posted"),
    ("model-*", "a model that fails, hangs, talks nonsense"),
    ("storm", "faults of all kinds, one after the other"),
)
"""The first pattern that fits a class tells its family."""
CONFIDENCE = 3.0
"""0 of N: with 95 % confidence the true rate is below 3/N."""
ENOUGH = 30
"""Below so many trials that bound says nothing."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    name: str
    cells: tuple[str, ...]


def table(verdicts: Iterable[Verdict]) -> str:
    """By class of fault, in the order of their families; columns apart by two blanks, the last line sums up."""
    rows = [COLUMNS, *((line.name, *line.cells) for line in _lines(verdicts, lambda name: name))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in rows)


def markdown(verdicts: Sequence[Verdict], command: str) -> str:
    """By family, with the command that repeats it."""
    lines = [(line.name, *(f"{cell} s" if "." in cell else cell for cell in line.cells)) for line in _lines(verdicts, family_of)]
    rows = [IN_WORDS, ("---",) * len(IN_WORDS), *lines]
    return "\n".join([f"`{command}`:", "", *("| " + " | ".join(row) + " |" for row in rows), "", summary(verdicts), ""])


def summary(verdicts: Sequence[Verdict]) -> str:
    """What a sceptic asks first: of how many, and how sure that is; and what was not counted."""
    happened = _happened(verdicts)
    acked, violated = sum(each.acked for each in happened), sum(bool(each.violations) for each in happened)
    told = [f"{violated} of {len(happened)} trials, with {acked:,} acknowledged messages, broke a law."]
    if len(happened) >= ENOUGH and not violated:
        told.append(f"With 95 % confidence fewer than {1000 * CONFIDENCE / len(happened):.1f} faults in 1,000 do (3/N).")
    if fetched := sum(each.fetched for each in happened):
        told.append(f"Messages that were acknowledged, lost with the log, fetched from Twilio and answered: {fetched}.")
    if unreached := len(verdicts) - len(happened):
        told.append(f"Trials that are not counted, since their point was passed less often than on a calm day: {unreached}.")
    return "\n".join(told)


def family_of(name: str) -> str:
    """In words for the docs."""
    return next(words for pattern, words in FAMILIES if fnmatch(name, pattern))


def quantiles(seconds: Sequence[float]) -> tuple[str, str, str]:
    """The median, the 95th of a hundred, the longest."""
    if not seconds:
        return ("-", "-", "-")
    ordered = sorted(seconds)
    p50, p95 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95))
    return (f"{p50:.1f}", f"{p95:.1f}", f"{ordered[-1]:.1f}")


def _happened(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.has_happened or verdict.violations]


def _lines(verdicts: Iterable[Verdict], name_of: Callable[[str], str]) -> list[Line]:
    """Ending with the line of all."""
    happened = _happened(verdicts)
    order = [words for _, words in FAMILIES]
    classes = sorted({verdict.fault for verdict in happened}, key=lambda name: (order.index(family_of(name)), name))
    names = dict.fromkeys(map(name_of, classes))
    lines = [_line(name, [verdict for verdict in happened if name_of(verdict.fault) == name]) for name in names]
    return [*lines, _line("all", happened)]


def _line(name: str, verdicts: Sequence[Verdict]) -> Line:
    laws = [violation.partition(":")[0] for verdict in verdicts for violation in verdict.violations]
    named = [law for group in GROUPS for law in group]
    waits = [verdict for verdict in verdicts if verdict.recovery_seconds is not None]
    numbers = (
        sum(verdict.faults for verdict in verdicts),
        sum(verdict.acked for verdict in verdicts),
        *(sum(law in group for law in laws) for group in GROUPS),
        sum(law not in named for law in laws),
        sum(verdict.unconfirmed for verdict in verdicts),
        sum(verdict.dead_lettered for verdict in verdicts),
    )
    return Line(
        name,
        (
            *map(str, numbers),
            *quantiles([each.recovery_seconds or 0.0 for each in waits if not each.is_settling]),
            *quantiles([each.recovery_seconds or 0.0 for each in waits if each.is_settling]),
        ),
    )


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
