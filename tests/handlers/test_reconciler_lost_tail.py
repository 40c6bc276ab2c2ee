"""What the reconciler fetched and the log lost again, before anybody folded it, is fetched again; nobody starts anything anew."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio

from handlers.reconciling import Reconciling
from handlers.twilio_client import TwilioClient
from streams import crash_points
from streams.partitions import thread_of
from tests.handlers.reconciler_desk import Desk
from tests.handlers.twilio_list import ACCOUNT, ANA, BIA, SENDER, a_list, ago
from tests.handlers.world import PARTITIONS, World


@pytest_asyncio.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    async with a_list() as listing, TwilioClient(account_sid=ACCOUNT, auth_token="t", api_url=listing.url) as client:
        yield Desk(world, listing, client)


@contextmanager
def losing_what_is_appended(world: World, monkeypatch: pytest.MonkeyPatch, *, keep: int = 0) -> Iterator[None]:
    """The log loses its tail right after each append of the reconciler, before the projector can see the entry."""

    def on_reached(name: str) -> None:
        if name == "reconciler.appended":
            for partition in range(PARTITIONS):
                world.log.lose_tail(partition, keep=keep)

    with monkeypatch.context() as patched:
        patched.setattr(crash_points, "on_reached", on_reached)
        yield


async def log_began_days_ago(world: World) -> None:
    """Every partition has one entry."""
    behind = 2 * 24 * 3_600_000
    world.clock.ahead_ms -= behind
    for partition in range(PARTITIONS):
        await world.tick(partition)
    world.clock.ahead_ms += behind


@pytest.mark.parametrize("others", [0, 2])
async def test_what_was_fetched_and_lost_before_it_was_folded_is_fetched_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """However far the log has grown since by what others wrote."""
    sid = desk.listing.wrote("hello", ago(minutes=5))
    reconciler = desk.reconciler()
    with losing_what_is_appended(desk.world, monkeypatch):
        assert await desk.reconcile(reconciler) == [sid]
    for _ in range(others):
        await desk.world.write(thread_of(SENDER, ANA), "and another")
    assert await desk.reconcile(reconciler) == [sid]
    assert (await desk.world.state(thread_of(SENDER, ANA))).inbound_count == 1 + others
    assert await desk.reconcile(reconciler) == []


async def test_what_was_fetched_before_a_new_generation_began_is_believed_only_as_it_is_folded_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sid = desk.listing.wrote("hello", ago(minutes=5))
    reconciler = desk.reconciler()
    assert await desk.reconcile(reconciler) == [sid]
    await desk.world.view(thread_of(SENDER, ANA))
    async with desk.world.database.transaction() as connection:
        await connection.execute("DELETE FROM messages")
    assert await desk.reconcile(reconciler) == [], "it stands in the log and was passed over"
    monkeypatch.setattr(type(desk.world.log), "epoch", 2)
    assert await desk.reconcile(reconciler) == [sid]


async def test_what_was_fetched_hours_late_and_lost_is_within_the_next_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look goes on from the last one, but not past what that one fetched and nobody has seen folded."""
    await log_began_days_ago(desk.world)
    desk.listing.wrote("hours ago", ago(hours=5), contact=ANA)
    desk.listing.wrote("later", ago(hours=4), contact=BIA)
    reconciling = Reconciling(desk.reconciler(), desk.world.log, every_seconds=300.0)
    with losing_what_is_appended(desk.world, monkeypatch, keep=1):
        await reconciling.reconcile()
        assert await desk.bodies() == []
        await reconciling.reconcile()
        assert await desk.bodies() == []
    await reconciling.reconcile()
    assert await desk.bodies() == ["hours ago", "later"]
    await reconciling.reconcile()
    assert await desk.bodies() == ["hours ago", "later"]


async def test_what_was_fetched_and_is_not_folded_yet_is_neither_believed_nor_fetched_again(desk: Desk) -> None:
    sid = desk.listing.wrote("hello", ago(minutes=5))
    reconciler = desk.reconciler(fold_seconds=0.2)
    found = await desk.compare(reconciler)
    for partition in range(PARTITIONS):
        await desk.world.ownership.lose(partition)
    assert [each.sid async for each, _ in reconciler.append(found.missed)] == [sid]
    again = await desk.compare(reconciler)
    assert (again.missed, again.unchecked) == ((), 1)
