"""What a run says: its own sentences, the merged lines of its processes, and where to find everything."""

import re
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from development.links import aligned, links
from development.plan import Plan
from development.supervision import Show
from telemetry import line_start

OUR_LINE = re.compile(r"(\x1b\[\d+m)?\d\d:\d\d:\d\d(\x1b\[0m)? ")
"""How a line begins that already says when, and from which process."""


class Output:
    """One terminal, or file, for everything; no line is cut off at its width."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._when_gone: Callable[[], None] | None = None
        self._is_gone = False
        self.has_colours = console.color_system is not None and not console.no_color

    def say(self, sentence: str, *, style: str | None = None) -> None:
        with self._for_who_reads():
            self._console.print(sentence, style=style, markup=False, highlight=False, soft_wrap=True)

    def call_when_gone(self, tell: Callable[[], None]) -> None:
        """Once nobody reads any more; at once where that is so."""
        self._when_gone = tell
        if self._is_gone:
            tell()

    def look_for_reader(self) -> None:
        """A pipe whose reader has gone says so also to who has nothing to write for a while."""
        try:
            descriptor = self._console.file.fileno()
        except (OSError, ValueError):  # a console of a test has none
            return
        looking = select.poll()
        looking.register(descriptor, 0)
        if any(event & select.POLLERR for _, event in looking.poll(0)):
            self._nobody_reads()

    def _nobody_reads(self) -> None:
        self._is_gone = True
        if self._when_gone:
            self._when_gone()

    @contextmanager
    def _for_who_reads(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._nobody_reads()

    def warn(self, sentence: str) -> None:
        self.say(sentence, style="bold red")

    def lines_of(self, process: str) -> Show:
        """Where the lines of this process go; one that does not say so gets the time and the name."""

        def show(line: str) -> None:
            start = "" if OUR_LINE.match(line) else line_start(time.strftime("%H:%M:%S"), process, has_colours=self.has_colours)
            with self._for_who_reads():
                self._console.out(start + line, highlight=False)

        return show

    def show_links(self, plan: Plan, addresses: Mapping[str, str], *, seconds: float) -> None:
        """First the page to open: who sees only that has seen enough."""
        self.say(f"\nProsa runs after {seconds:.1f} seconds; Ctrl-C stops it.\n")
        self.say(f"  Open {plan.simulator_url} and chat.\n", style="bold green")
        for line in aligned(links(plan, addresses)):
            self.say(line)
        self.say("")
