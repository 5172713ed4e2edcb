"""Durations and byte counts by property: what is written is read, and larger stays larger."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contract.quantity import LONGEST, MOST_BYTES, format_duration, parse_bytes, parse_duration, parse_share

milliseconds = st.integers(0, int(LONGEST) * 1000)


@given(milliseconds)
def test_a_duration_is_read_as_it_was_written(number: int) -> None:
    assert parse_duration(format_duration(number / 1000)) == number / 1000


@given(milliseconds, milliseconds)
def test_of_two_durations_the_longer_stays_longer(one: int, other: int) -> None:
    written = [parse_duration(format_duration(number / 1000)) for number in (one, other)]
    assert (written[0] < written[1]) == (one < other)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_add_up(hours: int, minutes: int, seconds: int, rest: int) -> None:
    expected = (hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + rest) / 1000
    assert parse_duration(f"{hours}h{minutes}m{seconds}s{rest}ms") == expected


@given(st.integers(0, MOST_BYTES))
def test_a_plain_number_of_bytes_is_itself(size: int) -> None:
    assert parse_bytes(str(size)) == size


@given(st.integers(0, 4095), st.sampled_from([("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40)]))
def test_binary_suffixes_are_powers_of_two(number: int, suffix: tuple[str, int]) -> None:
    assert parse_bytes(f"{number}{suffix[0]}") == number << suffix[1]


@given(st.integers(0, 100))
def test_percentages_are_fractions(percent: int) -> None:
    assert parse_share(f"{percent}%") == percent / 100


@given(st.text(st.characters(), max_size=12) | st.from_regex(r"[0-9.]{1,9}(ms|s|m|h|Ki|Mi|%|)"))
def test_any_text_is_a_value_within_bounds_or_a_value_error(text: str) -> None:
    for parse, most in ((parse_duration, LONGEST), (parse_bytes, MOST_BYTES), (parse_share, 1)):
        try:
            assert 0 <= parse(text) <= most
        except ValueError as error:
            str(error).encode()  # can be written to a log and sent as an answer
