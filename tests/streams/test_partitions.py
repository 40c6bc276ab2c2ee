"""Where a thread lives in the log is fixed for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import PositionOverflow
from streams.partitions import (
    SEQUENCE_LIMIT,
    START,
    addresses_of,
    entry_id_of_position,
    milliseconds_of_position,
    partition_of,
    partition_of_subject,
    partition_subject,
    position_of_entry_id,
    thread_of,
)

VECTORS = [
    ("whatsapp:+14155238886|whatsapp:+5511999990000", 8, 5),
    ("whatsapp:+14155238886|whatsapp:+5511999990001", 8, 3),
    ("whatsapp:+14155238886|whatsapp:BR.13491208655302741918", 8, 5),
    ("whatsapp:+14155238886|whatsapp:+5511999990000", 32, 13),
    ("messenger:Zoë|x", 3, 2),
]


@pytest.mark.parametrize(("thread", "partitions", "partition"), VECTORS)
def test_a_thread_keeps_its_partition_for_ever(thread: str, partitions: int, partition: int) -> None:
    assert partition_of(thread, partitions) == partition


def test_threads_spread_over_all_partitions() -> None:
    counts = [0] * 8
    for number in range(8000):
        counts[partition_of(f"whatsapp:+14155238886|whatsapp:+55119{number:08}", 8)] += 1
    assert min(counts) > 800


def test_an_event_of_a_whole_partition_stays_in_it() -> None:
    for partition in range(8):
        assert partition_of_subject(partition_subject(partition), 8) == partition


@pytest.mark.parametrize("subject", ["partition/8", "partition/-1", "partition/x", "partition", "whatsapp:+1|whatsapp:+2"])
def test_any_other_subject_is_a_thread(subject: str) -> None:
    assert partition_of_subject(subject, 8) == partition_of(subject, 8)


def test_a_thread_names_our_address_and_the_contacts() -> None:
    assert addresses_of(thread_of("whatsapp:+1", "whatsapp:BR.1349")) == ("whatsapp:+1", "whatsapp:BR.1349")


@given(st.integers(0, 2**43 - 1), st.integers(0, SEQUENCE_LIMIT - 1))
def test_a_position_and_its_entry_id_are_the_same_place(milliseconds: int, sequence: int) -> None:
    entry_id = f"{milliseconds}-{sequence}"
    position = position_of_entry_id(entry_id)
    assert entry_id_of_position(position) == entry_id
    assert milliseconds_of_position(position) == milliseconds
    assert position < 2**63


@given(
    st.tuples(st.integers(0, 2**43 - 1), st.integers(0, SEQUENCE_LIMIT - 1)),
    st.tuples(st.integers(0, 2**43 - 1), st.integers(0, SEQUENCE_LIMIT - 1)),
)
def test_positions_are_ordered_like_entry_ids(one: tuple[int, int], other: tuple[int, int]) -> None:
    first, second = (position_of_entry_id(f"{milliseconds}-{sequence}") for milliseconds, sequence in (one, other))
    assert (first < second) == (one < other)


def test_a_sequence_beyond_twenty_bits_has_no_position() -> None:
    with pytest.raises(PositionOverflow):
        position_of_entry_id(f"1-{SEQUENCE_LIMIT}")


def test_the_start_is_before_every_entry() -> None:
    assert position_of_entry_id("0-1") > START
