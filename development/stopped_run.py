"""What a run has left: its servers can be started for one command, as long as nobody runs there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from development.directory import RunDirectory
from development.plan import Plan, Ports, addresses
from simulator.servers import EmbeddedPostgres, EmbeddedValkey, free_port


@contextmanager
def servers_of(directory: RunDirectory) -> Iterator[None]:
    """
    Valkey and Postgres on free ports; who looks into the directory meanwhile finds them, as if a run were there.

    In the main thread: Linux ties their lives to the thread that started them. Raises `DevelopmentError` where a run has the
    directory, and `ServerError`.
    """
    with ExitStack() as started:
        started.enter_context(directory.claimed())
        valkey = EmbeddedValkey(directory.path / "valkey", free_port())
        postgres = EmbeddedPostgres(directory.path / "postgres", free_port())
        for server in (valkey, postgres):
            server.start()
            started.callback(server.stop)
        directory.write_addresses(addresses(Plan(Ports(), 1, directory), valkey.url, postgres.url))
        started.callback(directory.forget_addresses)
        yield
