"""What the doctor says of what was given up, and of what nobody can tell."""

from operations.doctor.findings import Severity
from streams.events import DeadLetterDiscarded, EventDeadLettered, ReplyGenerated, SendStarted, SendUnconfirmed
from tests.handlers.world import World, thread_of
from tests.operations.doctor.looking import look_at

ANA, BOB = thread_of(0), thread_of(1)


async def test_open_dead_letters_are_told_by_group_until_somebody_has_dealt_with_them(
    world: World, empty_database_url: str
) -> None:
    asked = [await world.write(thread) for thread in (ANA, BOB)]
    for each in asked:
        thread = each.event.subject
        letter = EventDeadLettered(event=each.event.id, group="responder", attempts=5, error="E", fingerprint="f")
        await world.append(letter, thread)
        await world.state(thread)
    found = await look_at("left over", database_url=empty_database_url)
    assert found.severities("left over") == [Severity.WARNING]
    assert "2 of the responder" in found.told("left over")
    assert "prosa dead-letters list" in found.told("left over")
    for each in asked:
        await world.append(DeadLetterDiscarded(event=each.event.id, group="responder", by="ana"), each.event.subject)
        await world.state(each.event.subject)
    assert (await look_at("left over", database_url=empty_database_url)).severities("left over") == [Severity.OK]


async def test_a_send_that_nobody_can_tell_about_is_told(world: World, empty_database_url: str) -> None:
    event = (await world.write(ANA)).event.id
    await world.append(ReplyGenerated(reply="r1", first_event=event, last_event=event, parts=("Hi.",), model="m"), ANA)
    await world.append(SendStarted(reply="r1", part=0, attempt="a1"), ANA)
    await world.append(SendUnconfirmed(reply="r1", part=0, attempt="a1"), ANA)
    await world.state(ANA)
    found = await look_at("left over", database_url=empty_database_url)
    assert found.severities("left over") == [Severity.WARNING]
    assert "sent: 1." in found.told("left over")
    assert "prosa sends list" in found.told("left over")
