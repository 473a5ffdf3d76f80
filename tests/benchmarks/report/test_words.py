"""Figures in words."""

from benchmarks.report.words import capitalized, quantity, rounded, share, spread_range
from benchmarks.results import Row
from benchmarks.spread import Spread


def test_a_figure_has_the_digits_usual_for_its_unit() -> None:
    assert quantity(3.14159, "ms") == "3.14 ms"
    assert quantity(1054.04, "/s") == "1,054.0 /s"
    assert quantity(213.4, "MB") == "213 MB"
    assert quantity(0.99821, "") == "0.9982"


def test_microseconds_do_not_become_nothing() -> None:
    assert quantity(0.00213, "ms") == "0.0021 ms"


def test_counts_are_whole_and_a_single_value_has_no_range() -> None:
    assert quantity(0.0, "") == "0"
    assert spread_range(Spread(2, 2, 2), "ms") == ""
    assert spread_range(Spread(1, 2, 3), "ms") == "1.00–3.00"
    assert spread_range(Spread(-1, 2, 3), "ms") == "-1.00 to 3.00"


def test_a_charts_values_have_four_digits_and_thousands_are_set_apart() -> None:
    assert [rounded(value) for value in (0.98765, 12.3456, 1000, 20000.4)] == [
        "0.9877",
        "12.35",
        "1,000",
        "20,000",
    ]


def test_a_title_is_capitalized_unless_it_names_a_function() -> None:
    titles = ("one 640x480 JPEG", "get_many of 1,000", "640x480 JPEGs")
    assert [capitalized(title) for title in titles] == ["One 640x480 JPEG", *titles[1:]]


def test_a_time_is_a_multiple_of_its_limits_and_a_speed_a_share() -> None:
    """A small share of a limit's time would read as faster than the limit."""
    one = Spread(1, 1, 1)
    wait = Row("", "ours", one, "ms", share=0.0475, limit="loopback round trip")
    speed = Row("", "ours", one, "/s", share=0.8935, limit="sgemm peak")
    assert share(wait) == "21 x the time of loopback round trip"
    assert share(speed) == "89 % of sgemm peak"
    assert share(Row("", "fastembed", one, "/s")) == ""
