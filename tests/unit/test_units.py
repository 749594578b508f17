from __future__ import annotations

import pytest

from barostat.errors import SizeError
from barostat.units import GIB, KIB, MIB, TIB, format_delta, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("0.0", 0),
        ("0MiB", 0),
        ("12B", 12),
        ("4KiB", 4 * KIB),
        ("4k", 4 * KIB),
        ("512MiB", 512 * MIB),
        ("512 mib", 512 * MIB),
        ("512M", 512 * MIB),
        (" 2GiB ", 2 * GIB),
        ("1.5GiB", 3 * GIB // 2),
        ("2g", 2 * GIB),
        ("3TiB", 3 * TIB),
        ("3T", 3 * TIB),
        ("1048576TiB", 2**60),
    ],
)
def test_a_size_as_people_write_it_is_read(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


def test_a_fraction_of_a_unit_is_the_nearest_byte_below_with_no_rounding_error() -> None:
    assert parse_size("1.1GiB") == 11 * GIB // 10
    assert parse_size("0.0001KiB") == 0
    assert parse_size("1125899906842623.999KiB") == 2**60 - 2  # a float would round it up


@pytest.mark.parametrize(
    "text", ["", " ", "GiB", "-1GiB", "1,5GiB", "1e3MiB", ".5GiB", "1.GiB", "٣GiB", "1GiB2", "inf"]
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SizeError, match="is not a size of memory") as caught:
        parse_size(text)

    assert '"512MiB"' in caught.value.hint


@pytest.mark.parametrize("text", ["1", "512", "0.5", "1PiB", "1 bananas", "3Ki"])
def test_a_number_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(SizeError, match="has no unit that is known") as caught:
        parse_size(text)

    assert '"512MiB"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "meant"), [("1.5kb", "1.5KiB"), ("512MB", "512MiB"), ("2Gb", "2GiB"), ("1TB", "1TiB")]
)
def test_a_decimal_unit_is_refused_with_the_binary_one_named(text: str, meant: str) -> None:
    with pytest.raises(SizeError, match="has a decimal unit") as caught:
        parse_size(text)

    assert caught.value.hint == f'write "{meant}" if you mean that'


@pytest.mark.parametrize("text", ["1048577TiB", "9" * 29 + "TiB"])
def test_a_size_above_any_machine_is_refused(text: str) -> None:
    with pytest.raises(SizeError, match="is larger than any machine"):
        parse_size(text)


def test_an_absurdly_long_text_is_refused_and_shown_in_part() -> None:
    with pytest.raises(SizeError) as caught:
        parse_size("9" * 100_000 + "MiB")

    assert caught.value.message == f'"{"9" * 32}..." is not a size of memory'


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0"),
        (1, "1 B"),
        (1023, "1023 B"),
        (4 * KIB, "4 KiB"),
        (512 * MIB, "512 MiB"),
        (3 * GIB // 2, "1536 MiB"),
        (10 * GIB - MIB, "10239 MiB"),
        (10 * GIB, "10.0 GiB"),
        (64 * GIB + GIB // 2, "64.5 GiB"),
        (10 * TIB, "10.0 TiB"),
        (-512 * MIB, "-512 MiB"),
        (-5, "-5 B"),
    ],
)
def test_a_size_is_printed_as_an_operator_reads_it(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


def test_a_change_of_size_is_printed_with_its_sign() -> None:
    assert format_delta(64 * MIB) == "+64 MiB"
    assert format_delta(-64 * MIB) == "-64 MiB"
    assert format_delta(0) == "0"
