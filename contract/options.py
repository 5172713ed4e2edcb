"""The optional keys of a mapping: what each is called, which direction knows it, and what it may be.

One table, read by the parser, by the docs' test and by whoever writes a schema. What the options do
is the sidecar's. A parser raises ``ValueError`` with the end of a sentence that names the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from contract.globs import pattern_fault
from contract.quantity import format_duration, parse_duration

_SHOWN: Final = 120  # characters of a bad value that a message repeats
_MOST_PATTERNS: Final = 100
_MOST_TAGS: Final = 10  # of one S3 object
_TAG_KEY: Final = 128  # characters, as S3 counts them
_TAG_VALUE: Final = 256
_LONGEST_SETTLE: Final = 24 * 3600.0  # seconds

KEEP: Final = "keep"
NONE: Final = "none"
AUTO: Final = "auto"
AES256: Final = "AES256"
KMS: Final = "aws:kms"

_TAG = re.compile(r"[\w +\-=.:/@]*")
_CLASS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = r"[A-Za-z0-9!#$&^_.+-]{1,127}"  # noqa: S105 - a media type's word, RFC 6838
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?: *; *{_TOKEN}=(?:{_TOKEN}|\"[ -!#-~]{{0,100}}\"))*")


@dataclass(frozen=True, slots=True)
class Option:
    """One key. ``attribute`` is its name in :class:`~contract.mapping.Mapping`; ``write`` undoes ``read``."""

    attribute: str
    directions: tuple[str, ...]
    default: Any
    read: Callable[[object], Any]
    write: Callable[[Any], object] = lambda value: value


def shown(value: object) -> str:
    """``value`` for a message, whatever it is: YAML and JSON have numbers and depths that repr refuses."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"such a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def suggestion(key: object, known: tuple[str, ...]) -> str:
    """`` did you mean …?`` where ``key`` is nearly one of ``known``, else nothing."""
    if not isinstance(key, str):
        return ""
    folded = {re.sub("[-_ ]", "", name).lower(): name for name in known}
    exact = folded.get(re.sub("[-_ ]", "", key).lower())
    if exact is None:
        from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong already

        exact = next(iter(get_close_matches(key, known, 1, 0.7)), None)
    return f"; did you mean {exact!r}?" if exact else ""


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"is true or false, not {shown(value)}")  # noqa: TRY004 - see the module
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10**9:
        raise ValueError(f"is a number of files, at least 1, not {shown(value)}")
    return value


def _text(value: object, example: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is text such as {example}, not {shown(value)}")  # noqa: TRY004 - see the module
    return value


def _choice(*known: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in known:
            raise ValueError(f"is {' or '.join(known)}, not {shown(value)}{suggestion(value, known)}")
        return str(value)

    return read


def _patterns(*, negation: bool) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"is a list of patterns such as ['*.log', 'cache/'], not {shown(value)}")
        if len(value) > _MOST_PATTERNS:
            raise ValueError(f"holds {len(value)} patterns, at most {_MOST_PATTERNS} are allowed")
        for one in value:
            fault = pattern_fault(one) or _unencodable(one)
            if fault is not None:
                raise ValueError(f"holds {shown(one)}: {fault}")
            if one.startswith("!") and not negation:
                raise ValueError(f"holds {shown(one)}: '!' has a meaning only in 'exclude'; write {one[1:]!r} there")
        return tuple(value)

    return read


def _unencodable(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it is no valid UTF-8"
    return None


def _duration(value: object) -> float:
    text = _text(value, "30s or 5m")
    try:
        seconds = round(parse_duration(text), 3)
    except ValueError as error:
        raise ValueError(f"is a duration: {error}") from error
    if seconds > _LONGEST_SETTLE:
        raise ValueError(f"is at most {format_duration(_LONGEST_SETTLE)}, not {text!r}")
    return seconds


def _storage_class(value: object) -> str:
    text = _text(value, "STANDARD_IA")
    if not _CLASS.fullmatch(text):
        raise ValueError(f"is a storage class such as STANDARD_IA, not {shown(value)}")
    return text


def _kms_key(value: object) -> str:
    text = _text(value, "alias/edge")
    if not 0 < len(text) <= 2048 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"is the id, alias or ARN of a KMS key, not {shown(value)}")
    return text


def _content_type(value: object) -> str:
    text = _text(value, "text/csv")
    if text not in (AUTO, NONE) and (len(text) > 256 or not _MEDIA_TYPE.fullmatch(text)):
        raise ValueError(f"is auto, none or a media type such as text/csv, not {shown(value)}")
    return text


def _tags(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(word, str) for pair in value.items() for word in pair):
        raise ValueError(f"is a mapping of text to text such as {{team: edge}}, not {shown(value)}")
    if len(value) > _MOST_TAGS:
        raise ValueError(f"holds {len(value)} tags, an object takes {_MOST_TAGS}")
    for key, word in value.items():
        if not 0 < len(key) <= _TAG_KEY or len(word) > _TAG_VALUE or not (_TAG.fullmatch(key) and _TAG.fullmatch(word)):
            raise ValueError(
                f"holds {shown(key)}: {shown(word)}; a tag has letters, digits, spaces and + - = . _ : / @, "
                f"its key 1 to {_TAG_KEY} characters, its value at most {_TAG_VALUE}"
            )
    return tuple(sorted(value.items()))


_BOTH: Final = ("egress", "ingress")
_EGRESS: Final = ("egress",)

OPTIONS: Final = {
    "include": Option("include", _BOTH, (), _patterns(negation=False), list),
    "exclude": Option("exclude", _BOTH, (), _patterns(negation=True), list),
    "delete": Option("delete", _BOTH, False, _boolean),
    "deleteLimit": Option("delete_limit", _BOTH, None, _count),
    "restore": Option("restore", ("ingress",), True, _boolean),
    "mode": Option("mode", _BOTH, NONE, _choice(KEEP, NONE)),
    "storageClass": Option("storage_class", _EGRESS, "", _storage_class),
    "encryption": Option("encryption", _EGRESS, "", _choice(AES256, KMS)),
    "kmsKeyId": Option("kms_key_id", _EGRESS, "", _kms_key),
    "tags": Option("tags", _EGRESS, (), _tags, dict),
    "contentType": Option("content_type", _EGRESS, AUTO, _content_type),
    "settle": Option("settle", _EGRESS, 0.0, _duration, format_duration),
    "allowOverlap": Option("allow_overlap", _BOTH, False, _boolean),
}
