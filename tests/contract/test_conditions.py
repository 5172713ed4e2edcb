"""Conditions are read as a stranger's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contract.conditions import WARNINGS, Because, Condition, Said, Truth, read_conditions

SAID = Said(Condition.DATA_AT_RISK, Truth.TRUE, Because.UNSENT_TOO_LONG, "3 files on this device alone.")


def test_what_is_written_is_read_again() -> None:
    assert read_conditions(json.loads(json.dumps({"conditions": [SAID.to_json()]}))) == (SAID,)


@pytest.mark.parametrize(
    "status",
    [None, [], "x", {}, {"conditions": None}, {"conditions": "x"}, {"conditions": [None, 1, {}, {"type": []}]}],
)
def test_what_is_no_statement_says_nothing(status: object) -> None:
    assert read_conditions(status) == ()


def test_a_word_of_a_newer_sidecar_is_left_out_and_the_rest_is_kept() -> None:
    newer = {**SAID.to_json(), "type": "Levitating"}
    assert read_conditions({"conditions": [newer, SAID.to_json()]}) == (SAID,)


def test_each_condition_counts_once_and_its_message_is_bounded_and_printable() -> None:
    hostile = {**SAID.to_json(), "message": "a\x1b[31m\nb\u202e" + "x" * 5000}
    (said,) = read_conditions({"conditions": [hostile] * 1000})
    assert said.message.startswith("a [31m b x")
    assert len(said.message) == 1024


def test_which_changes_are_worth_an_event() -> None:
    assert SAID.event_type == "Warning"
    assert Said(Condition.SYNCED, Truth.TRUE, Because.IN_SYNC, "").event_type == "Normal"
    assert Said(Condition.SYNCED, Truth.FALSE, Because.FILES_FAIL, "").event_type is None
    assert Condition.SYNCED not in WARNINGS


def test_the_tour_names_every_condition_and_reason() -> None:
    tour = (Path(__file__).resolve().parents[2] / "docs" / "TOUR.md").read_text()
    assert [word for word in (*Condition, *Because) if f"`{word.value}`" not in tour] == []
