"""Reading variables: a default where there is none, every fault together, and the kinds that all programs share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.environment import Environment, SettingsError, boolean, choice, level, listen, number


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_what_is_absent_or_empty_has_its_default(value: str | None) -> None:
    environment = Environment({} if value is None else {"A": value})
    assert (environment.read("A", 4, int), environment.text("A", "default")) == (4, "default")
    environment.finish()


def test_what_cannot_be_used_has_its_default_too_and_all_faults_are_told_at_the_end() -> None:
    environment = Environment({"A": "one", "B": " 2 ", "C": "no"})
    assert [environment.read(name, 0, number(0, 9)) for name in "AB"] == [0, 2]
    assert environment.read("C", True, boolean) is True
    environment.fault("D: needs E", "E: needs D")
    with pytest.raises(SettingsError) as caught:
        environment.finish()
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["A", "C", "D", "E"]
    assert "'no' is neither 'true' nor 'false'" in str(caught.value)


@pytest.mark.parametrize(
    ("parse", "good", "value", "bad"),
    [
        pytest.param(boolean, "false", False, "False", id="boolean"),
        pytest.param(choice("a", "b", "c"), "c", "c", "d", id="choice"),
        pytest.param(number(1, 64), "64", 64, "65", id="number"),
        pytest.param(number(1, 64), "1", 1, "-1", id="no sign"),
        pytest.param(number(1, 64), "2", 2, "²", id="ASCII"),
        pytest.param(number(1, 64), "3", 3, "1" * 5000, id="more digits than Python reads"),
        pytest.param(level, "debug", "DEBUG", "loud", id="level"),
        pytest.param(listen, "[::1]:0", "[::1]:0", "9346", id="listen"),
    ],
)
def test_values_that_are_the_same_everywhere(
    parse: Callable[[str], object], good: str, value: object, bad: str
) -> None:
    assert parse(good) == value
    with pytest.raises(ValueError, match=r".") as caught:
        parse(bad)
    assert bad[:9] in str(caught.value)
    assert len(str(caught.value)) < 200
