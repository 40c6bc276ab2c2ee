"""The program `prosa`, from its first moment: Ctrl-C while Python still loads ends it without a word."""

import signal


def main() -> None:
    """Load the commands, and run the one that was asked for."""
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so in the background of a shell script
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli import main as run

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
