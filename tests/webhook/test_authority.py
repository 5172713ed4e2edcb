"""Authorities over time: made, published, signing, retired, forgotten; and what is in the Secret."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from webhook.authority import Authorities, AuthorityError, Terms, advance, from_data
from webhook.certificates import certificates, make_authority, not_after

TERMS = Terms(authority=timedelta(days=360), serving=timedelta(hours=24))
START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def fresh() -> Authorities:
    return advance(None, b"", START, TERMS)


def subjects(state: Authorities) -> set[bytes]:
    return set(certificates(state.bundle()))


def test_the_first_makes_one_authority_and_nothing_else() -> None:
    state = fresh()
    assert (state.following, state.retired) == (None, ())
    assert not_after(state.current.certificate_pem) == START + TERMS.authority
    assert subjects(state) == {state.current.certificate_pem}


def test_nothing_changes_before_two_thirds_of_its_life() -> None:
    state = fresh()
    assert advance(state, state.bundle(), START + 239 * DAY, TERMS) == state


def test_the_following_one_is_published_before_it_signs() -> None:
    first = fresh()
    second = advance(first, first.bundle(), START + 241 * DAY, TERMS)
    assert second.current == first.current
    assert second.following is not None
    assert subjects(second) == {first.current.certificate_pem, second.following.certificate_pem}
    early = advance(second, second.bundle(), START + 241 * DAY + TERMS.overlap / 2, TERMS)
    assert early.current == first.current


def test_the_former_stays_published_until_all_it_signed_has_ended() -> None:
    first = fresh()
    second = advance(first, first.bundle(), START + 241 * DAY, TERMS)
    promoted = START + 241 * DAY + TERMS.overlap
    third = advance(second, second.bundle(), promoted, TERMS)
    assert third.current == second.following
    assert third.following is None
    assert subjects(third) == {first.current.certificate_pem, third.current.certificate_pem}
    still = advance(third, third.bundle(), promoted + TERMS.serving, TERMS)
    assert first.current.certificate_pem in subjects(still)
    gone = advance(third, third.bundle(), promoted + TERMS.serving + TERMS.overlap, TERMS)
    assert subjects(gone) == {third.current.certificate_pem}


def test_a_lost_authority_is_made_anew_and_what_was_published_stays_trusted() -> None:
    first = fresh()
    made = advance(None, first.bundle(), START + DAY, TERMS)
    assert made.current != first.current
    assert subjects(made) == {first.current.certificate_pem, made.current.certificate_pem}
    assert not made.may_sign(START + DAY, TERMS)
    assert made.may_sign(START + DAY + TERMS.overlap, TERMS)


def test_an_authority_that_ended_while_nobody_ran_is_made_anew() -> None:
    first = fresh()
    made = advance(first, first.bundle(), START + 361 * DAY, TERMS)
    assert subjects(made) == {made.current.certificate_pem}


def test_what_else_is_published_is_adopted_within_bounds() -> None:
    many = b"".join(make_authority("x", DAY, START).certificate_pem for _ in range(12))
    assert len(subjects(advance(None, many, START, TERMS))) == 9
    assert len(subjects(advance(None, b"no certificate", START, TERMS))) == 1


def test_the_secret_says_all_of_it() -> None:
    state = fresh()
    state = advance(state, state.bundle(), START + 241 * DAY, TERMS)
    assert from_data(state.to_data()) == state
    state = advance(state, state.bundle(), START + 242 * DAY, TERMS)
    assert from_data(state.to_data()) == state
    assert from_data({}) is None


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ca.crt": "?"}, id="no base64"),
        pytest.param({"ca.crt": text("-----BEGIN CERTIFICATE-----")}, id="no certificate"),
        pytest.param({"ca.key": text("x")}, id="no key"),
        pytest.param({"ca.key": fresh().to_data()["ca.key"]}, id="the key of another"),
        pytest.param({"ca.key": None}, id="a key is missing"),
        pytest.param({"next.crt": text("x")}, id="half a following one"),
        pytest.param({"retired.json": text("{")}, id="no JSON"),
        pytest.param({"retired.json": text("[1]")}, id="something else in it"),
    ],
)
def test_what_is_no_authority_is_said(change: dict[str, str | None]) -> None:
    data = {**fresh().to_data(), **change}
    with pytest.raises(AuthorityError):
        from_data({key: value for key, value in data.items() if value is not None})


@pytest.mark.parametrize(
    ("authority", "serving", "overlap"),
    [
        (timedelta(days=365), timedelta(hours=24), timedelta(hours=1)),
        (timedelta(hours=1), timedelta(minutes=20), timedelta(minutes=5)),
        (timedelta(seconds=12), timedelta(seconds=4), timedelta(seconds=1)),
    ],
)
def test_every_step_leaves_time_for_several_looks(authority: timedelta, serving: timedelta, overlap: timedelta) -> None:
    terms = Terms(authority, serving)
    assert terms.overlap == overlap
    assert terms.pause * 5 < terms.overlap.total_seconds()
