"""How what is known is told: the body of ``/status``, and the conditions that others act on. Pure.

Numbers stay numbers (seconds, bytes) for programs; beside them stand sentences for people. A name of
a file appears only where ``with_names`` allows it; the sentences of conditions never hold one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from contract.conditions import AT_RISK_AFTER, Because, Condition, Said, Truth
from contract.mapping import Direction
from sidecar.reporting.advice import advice
from sidecar.reporting.tally import MappingProgress, Result, Tally

Waiting = tuple[Because, str]

_REFUSED: Final = {
    "access_denied": Because.CREDENTIALS_REJECTED,
    "no_such_bucket": Because.BUCKET_MISSING,
    "clock_skew": Because.CLOCK_SKEWED,
    "tls": Because.CERTIFICATE_UNTRUSTED,
    "misconfigured": Because.MISCONFIGURED,
}
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def mapping_status(entry: MappingProgress, now: float, *, with_names: bool) -> dict[str, Any]:
    """One mapping on ``/status``; ``now`` in seconds since the epoch."""
    tally = entry.last
    pending = entry.pending()
    status: dict[str, Any] = {
        "direction": entry.mapping.direction.value,
        "source": entry.mapping.source,
        "target": entry.mapping.target,
        "state": _state(entry),
        "syncing": entry.now is not None,
        "last_success": entry.last_success,
        "last_transfer": entry.last_transfer,
        "pending_files": pending[0] if pending else None,
        "pending_bytes": pending[1] if pending else None,
        "oldest_pending_age_seconds": _age(pending, now),
        "indexed_files": tally.indexed if tally else None,
        "skipped_files": tally.skipped if tally else None,
        "errors": dict(tally.reasons) if tally else {},
        "problems": list(_problems(tally)) if tally else [],
        "limited": tally.limited if tally else False,
        "quarantined_files": tally.quarantined_files if tally else None,
        "last_error": None,
    }
    if entry.mapping.direction is Direction.INGRESS:
        status["ingress_bytes"] = tally.ingress_bytes if tally else None
    if tally is not None and (tally.error or tally.failures):
        status |= _last_error(tally, with_names=with_names)
    if with_names:
        status["failures"] = tally.failures if tally else []
        status["quarantined"] = tally.quarantined if tally else []
    return status


def _state(entry: MappingProgress) -> str:
    """``waiting`` until a pass began, ``first cycle`` until one ended, then how the last one ended."""
    if entry.last is not None:
        return entry.last.result.value
    return "waiting" if entry.now is None else "first cycle"


def _age(pending: tuple[int, int, float | None] | None, now: float) -> float | None:
    if pending is None or not pending[0] or pending[2] is None:
        return None
    return round(max(0.0, now - pending[2]), 1)  # a clock that was set back must not read as the future


def _problems(tally: Tally) -> Iterator[dict[str, Any]]:
    """What hinders, the most frequent first, in words."""
    reasons = Counter(tally.reasons)
    if tally.error is not None:
        reasons.pop(tally.error.reason, None)
        yield _problem(tally.error.reason, None)
    for reason, files in reasons.most_common():
        yield _problem(reason, files)


def _problem(reason: str, files: int | None) -> dict[str, Any]:
    """``files`` is None for what stops the whole mapping."""
    said = advice(reason)
    return {"reason": reason, "files": files, "words": said.words, "action": said.action}


def _last_error(tally: Tally, *, with_names: bool) -> dict[str, str]:
    if tally.error is not None:
        return {"last_error": str(tally.error), "last_error_reason": tally.error.reason}  # it names no file
    last = tally.failures[-1]
    return {"last_error": last["error"] if with_names else last["reason"], "last_error_reason": last["reason"]}


def conditions(entries: Sequence[MappingProgress], waiting: Waiting | None, now: float) -> list[Said]:
    """What a person must know, of all mappings together. ``waiting``: nothing is synced now, and why."""
    tallies = [entry.last for entry in entries if entry.last is not None]
    known = len(tallies) == len(entries)
    said = [_synced(entries, tallies, waiting), _at_risk(entries, now)]
    refusal = next((reason for tally in tallies if (reason := _refusal(tally))), None)
    if refusal is not None:
        words = advice(refusal)
        because = _REFUSED.get(refusal, Because.MISCONFIGURED)
        said.append(Said(Condition.REFUSED, Truth.TRUE, because, f"{words.words}. {words.action}"))
    else:
        said.append(_unless(known, Condition.REFUSED, Because.ACCEPTED, "The bucket accepts what is sent."))
    said += [_limited(tallies, known=known), _quarantined(tallies, known=known)]
    return said


def _synced(entries: Sequence[MappingProgress], tallies: list[Tally], waiting: Waiting | None) -> Said:
    if waiting is not None:
        truth = Truth.UNKNOWN if waiting[0] is Because.FIRST_CYCLE else Truth.FALSE
        return Said(
            Condition.SYNCED, truth, waiting[0], f"Waiting for {waiting[1]}" if truth is Truth.UNKNOWN else waiting[1]
        )
    if len(tallies) < len(entries):
        return Said(Condition.SYNCED, Truth.UNKNOWN, Because.FIRST_CYCLE, "The first cycle is under way.")
    files, size = sum(one.pending_files for one in tallies), sum(one.pending_bytes for one in tallies)
    if all(one.result is Result.OK for one in tallies):
        if not files:
            return Said(Condition.SYNCED, Truth.TRUE, Because.IN_SYNC, "Both sides hold the same.")
        return Said(Condition.SYNCED, Truth.FALSE, Because.TRANSFERRING, f"{_files(files, size)} under way.")
    problems = Counter[str]()
    for one in tallies:
        problems.update(problem["words"] for problem in _problems(one))
    why = "; ".join(problems)
    return Said(Condition.SYNCED, Truth.FALSE, Because.FILES_FAIL, f"{_files(files, size)} not synced: {why}.")


def _at_risk(entries: Sequence[MappingProgress], now: float) -> Said:
    ages, files, size, known = [], 0, 0, True
    for entry in entries:
        if entry.mapping.direction is Direction.INGRESS:
            continue  # what waits there is safe in the bucket
        pending = entry.pending()
        known = known and pending is not None
        age = _age(pending, now)
        if pending is not None and age is not None:
            ages.append(age)
            files, size = files + pending[0], size + pending[1]
    oldest = max(ages, default=0.0)
    if oldest > AT_RISK_AFTER:
        message = f"{_files(files, size)} on this device alone, the oldest for {_duration(oldest)}."
        return Said(Condition.DATA_AT_RISK, Truth.TRUE, Because.UNSENT_TOO_LONG, message)
    return _unless(known, Condition.DATA_AT_RISK, Because.NOTHING_WAITS_LONG, "Nothing waits for long.")


def _limited(tallies: list[Tally], *, known: bool) -> Said:
    if any(tally.limited for tally in tallies):
        words = advice("no_room")
        return Said(Condition.INGRESS_LIMITED, Truth.TRUE, Because.NO_ROOM, f"{words.words}. {words.action}")
    return _unless(known, Condition.INGRESS_LIMITED, Because.ROOM_ENOUGH, "There is room for downloads.")


def _quarantined(tallies: list[Tally], *, known: bool) -> Said:
    count = sum(tally.quarantined_files for tally in tallies)
    if count:
        message = f"{count} name{'s' if count > 1 else ''} cannot exist on the other side; /status lists them."
        return Said(Condition.NAMES_QUARANTINED, Truth.TRUE, Because.NAMES_CANNOT_GO, message)
    return _unless(known, Condition.NAMES_QUARANTINED, Because.ALL_NAMES_GO, "Every name can go.")


def _unless(known: bool, condition: Condition, because: Because, message: str) -> Said:
    """The condition is false for this reason; unknown as long as not every mapping was looked at."""
    if known:
        return Said(condition, Truth.FALSE, because, message)
    return Said(condition, Truth.UNKNOWN, Because.FIRST_CYCLE, "Not known before the first cycle is over.")


def _refusal(tally: Tally) -> str | None:
    """The reason for which someone must change something, if there is one."""
    if not tally.misconfigured:
        return None
    if tally.error is not None:
        return tally.error.reason
    return next((reason for reason in tally.reasons if reason in _REFUSED), "misconfigured")


def _files(count: int, size: int) -> str:
    return f"{count} file{'' if count == 1 else 's'} ({plain_size(size)})"


def plain_size(size: float) -> str:
    """``size`` bytes as a person says it."""
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def _duration(seconds: float) -> str:
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 172_800 else f"{seconds / 86400:.0f} days"
