"""The webhook's own authority, and when its parts are made, used and forgotten. Pure: time is handed in.

An authority is published before it signs and stays published after it signed: at every moment whatever
a replica serves verifies under the bundle that the API server holds, also of a replica that looked
last a while ago. :mod:`webhook.rotation` reads, writes and publishes; here is only what becomes of what.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from webhook.certificates import KeyPair, belongs, certificates, made, make_authority, not_after

NAME: Final = "data-sync webhook authority"
_CURRENT: Final = ("ca.crt", "ca.key")
_FOLLOWING: Final = ("next.crt", "next.key")
_RETIRED: Final = "retired.json"
_LONGEST_OVERLAP: Final = timedelta(hours=1)
_LONGEST_PAUSE: Final = 60.0  # seconds
_MOST_RETIRED: Final = 8  # certificates; more cannot be ours


class AuthorityError(ValueError):
    """The Secret holds something else than an authority of ours."""


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long certificates are made."""

    authority: timedelta
    serving: timedelta

    @property
    def overlap(self) -> timedelta:
        """How long an authority is published before it signs, and after the last that it signed has ended."""
        return min(_LONGEST_OVERLAP, self.authority / 12, self.serving / 4)

    @property
    def pause(self) -> float:
        """Seconds between two looks: short enough that every replica sees each step well before the next."""
        return min(_LONGEST_PAUSE, self.overlap.total_seconds() / 6)


@dataclass(frozen=True, slots=True)
class Retired:
    """An authority that signs no more, and until when it stays published (UTC)."""

    certificate_pem: bytes
    until: datetime


@dataclass(frozen=True, slots=True)
class Authorities:
    """What the Secret holds. ``following`` is published and will sign; ``retired`` ones did."""

    current: KeyPair
    following: KeyPair | None = None
    retired: tuple[Retired, ...] = ()

    def bundle(self) -> bytes:
        """All that is to be trusted, PEM, always in the same order."""
        pems = [self.current.certificate_pem, *(one.certificate_pem for one in self.retired)]
        if self.following is not None:
            pems.append(self.following.certificate_pem)
        return b"".join(sorted(set(pems)))

    def may_sign(self, now: datetime, terms: Terms) -> bool:
        """Whether the current authority has been published for long enough to be known everywhere."""
        return made(self.current.certificate_pem) + terms.overlap <= now

    def to_data(self) -> dict[str, str]:
        """The ``data`` of the Secret, base64."""
        texts = dict(zip(_CURRENT, (self.current.certificate_pem, self.current.key_pem), strict=True))
        if self.following is not None:
            texts |= zip(_FOLLOWING, (self.following.certificate_pem, self.following.key_pem), strict=True)
        retired = [
            {"certificate": one.certificate_pem.decode(), "until": one.until.isoformat()} for one in self.retired
        ]
        texts[_RETIRED] = json.dumps(retired).encode()
        return {key: base64.b64encode(text).decode() for key, text in texts.items()}


def from_data(data: Mapping[str, str]) -> Authorities | None:
    """What ``data`` of a Secret holds; None when it is empty, as the chart makes it.

    Raises:
        AuthorityError: it holds something else.
    """
    if not data:
        return None
    try:
        texts = {key: base64.b64decode(text, validate=True) for key, text in data.items()}
        following = _pair(texts, _FOLLOWING) if _FOLLOWING[0] in texts else None
        retired = tuple(
            Retired(one["certificate"].encode(), datetime.fromisoformat(one["until"]))
            for one in json.loads(texts.get(_RETIRED, b"[]"))
        )
        return Authorities(_pair(texts, _CURRENT), following, retired)
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise AuthorityError(f"{type(error).__name__}: {error}") from error


def advance(found: Authorities | None, published: bytes, now: datetime, terms: Terms) -> Authorities:
    """What is to be in the Secret at ``now``, given what is, and the bundle that is ``published``.

    A lost authority is made anew; what was published stays trusted until all it signed has ended.
    """
    if found is None or not_after(found.current.certificate_pem) <= now:
        return Authorities(make_authority(NAME, terms.authority, now), retired=_adopted(published, now, terms))
    state = replace(found, retired=tuple(one for one in found.retired if one.until > now))
    if state.following is None:
        if not_after(state.current.certificate_pem) - terms.authority / 3 <= now:
            return replace(state, following=make_authority(NAME, terms.authority, now))
    elif made(state.following.certificate_pem) + terms.overlap <= now:
        former = Retired(state.current.certificate_pem, now + terms.serving + terms.overlap)
        return Authorities(state.following, retired=(*state.retired, former))
    return state


def _adopted(published: bytes, now: datetime, terms: Terms) -> tuple[Retired, ...]:
    alive = [pem for pem in certificates(published) if not_after(pem) > now]
    return tuple(Retired(pem, now + terms.serving + terms.overlap) for pem in alive[-_MOST_RETIRED:])


def _pair(texts: Mapping[str, bytes], keys: tuple[str, str]) -> KeyPair:
    pair = KeyPair(texts[keys[0]], texts[keys[1]])
    if not belongs(pair):
        raise ValueError(f"{keys[0]} and {keys[1]} do not belong together")
    return pair
