"""Malformed AdmissionReviews from a seed: the golden pods with types swapped, deep nests, huge texts, bytes that
are no UTF-8, bodies cut short, odd Content-Types. Draws only; ``reviews`` sends them.
"""

from __future__ import annotations

import copy
import functools
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from contract import names
from tests.webhook.processes import review
from webhook.manifests import load

_GOLDEN: Final = Path(__file__).resolve().parents[1] / "golden"
JSON: Final = "application/json"
_TYPES: Final = (
    "", "text/plain", "application/yaml", "application/json; charset=utf-16", "APPLICATION/JSON", "application/json;",
    "application/json; charset=nowhere", "application/jsön", ";;;", "application/json, text/html", "x" * 5000,
)  # fmt: skip
_TEXTS: Final = (
    "", " ", "\x00", "\ud800", "…", "../../etc", "/", "a" * 300, "[", "{}", "null", "- {source: a", "&a [*a, *a]",
    "1e999", "0", "-1", "99999999999999999999", "enabled", "true", "Always", "[{source: a, target: b}]",
    '{"a": [1, {"b": null}]}',
    "[" * 300, "!!python/object:os.system x", "2001-99-99", "<<: [a]", "%s %(x)s {0}", "16Ei", "5m", "🦀" * 70,
)  # fmt: skip
_KEYS: Final = (
    "name", "value", "valueFrom", "key", "labels", "annotations", "controller", "kind", "uid", "mountPath", "hostPath",
    "path", "resources", "limits", "cpu", "securityContext", "runAsUser", "runAsNonRoot", "restartPolicy", "image",
    "command", "args", "nodeName", "hostNetwork", "shareProcessNamespace", "schedulingGates", "subPath", "emptyDir",
)  # fmt: skip
_OURS: Final = tuple(sorted(text for text in vars(names).values() if isinstance(text, str) and names.PREFIX in text))
_VALUE: Final = re.compile(rb'": ("[^"\\\\]*"|null|true|false|\\d+)')
_DEEPEST: Final = 100_000
_LONGEST: Final = 200_000  # characters

Place = tuple[Any, Any]  # a dict or list, and a key or index in it


@functools.cache
def pods() -> tuple[Any, ...]:
    """The first document of every golden pod: what admission is asked about."""
    found = [load(path.read_text())[0] for path in sorted(_GOLDEN.glob("*/*.yaml")) if _has_document(path)]
    assert found
    return tuple(found)


def _has_document(path: Path) -> bool:
    return path.name == "pod.yaml" or not path.read_text().startswith("# ") or "\nkind: Pod" in path.read_text()


def draw(rng: random.Random) -> tuple[bytes, str]:
    """One body, and the Content-Type it is sent with."""
    subject = review(copy.deepcopy(rng.choice(pods())))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        rng.choice(_CHANGES)(rng, subject)
    body = json.dumps(subject, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        body = rng.choice(_BYTES)(rng, body)
    return body, rng.choice(_TYPES) if rng.random() < 0.05 else JSON


def _swap(rng: random.Random, subject: Any) -> None:
    holder, key = _place(rng, subject)
    holder[key] = _value(rng)


def _drop(rng: random.Random, subject: Any) -> None:
    holder, key = _place(rng, subject)
    del holder[key]


def _add(rng: random.Random, subject: Any) -> None:
    holder, key = _place(rng, subject)
    inner = holder[key]
    if isinstance(inner, dict):
        inner[rng.choice(_KEYS + _OURS + _TEXTS)] = _value(rng)
    elif isinstance(inner, list):
        inner.insert(rng.randrange(len(inner) + 1), _value(rng))


def _annotate(rng: random.Random, subject: Any) -> None:
    """Into what our own names say: the texts that are read most closely."""
    meta = _walk(subject, "request", "object", "metadata")
    kept = meta.setdefault(rng.choice(("labels", "annotations")), {}) if isinstance(meta, dict) else None
    if isinstance(kept, dict):
        kept[rng.choice(_OURS)] = rng.choice(_TEXTS) if rng.random() < 0.8 else _value(rng)


def _move(rng: random.Random, subject: Any) -> None:
    """One part of the review in the place of another."""
    (source, name), (target, key) = _place(rng, subject), _place(rng, subject)
    target[key] = copy.deepcopy(source[name])


_CHANGES: Final[tuple[Callable[[random.Random, Any], None], ...]] = (_swap, _swap, _drop, _add, _add, _annotate, _move)


def _cut(rng: random.Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body))]


def _spoil(rng: random.Random, body: bytes) -> bytes:
    spoilt = bytearray(body)
    for _ in range(rng.randint(1, 8)):
        spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
    return bytes(spoilt)


def _nest(rng: random.Random, body: bytes) -> bytes:
    """A nest in the place of some value of the body; at times it does not end."""
    depth = rng.choice((50, 200, 300, 450, 900, 990, 1000, 1500, 5000, _DEEPEST))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opened * depth + b"1" + closed * rng.choice((depth, depth, depth, depth // 2))
    values = [found.span(1) for found in _VALUE.finditer(body)]
    start, end = rng.choice(values or [(0, len(body))])
    return body[:start] + deep + body[end:]


def _other(rng: random.Random, body: bytes) -> bytes:
    del body
    return rng.choice((b"", b"null", b"[]", b'"x"', b"NaN", b"-", b"\xff\xfe", b"\xef\xbb\xbf{}", b"1" * 5000, b"\x00"))


def _recode(rng: random.Random, body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")))


_BYTES: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (_cut, _spoil, _nest, _other, _recode)


def _value(rng: random.Random) -> Any:
    match rng.randrange(8):
        case 0:
            return rng.choice((None, True, False, [], {}, [None], [[]], [{}], {"name": None}, {"": ""}))
        case 1:
            return rng.choice((0, -1, 2**31, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf")))
        case 2:
            return _chain(rng, 60)
        case 3 if rng.random() < 0.1:
            return rng.choice("ax[{ \n\x7fé") * rng.randrange(_LONGEST)
        case _:
            return rng.choice(_TEXTS)


def _chain(rng: random.Random, length: int) -> Any:
    inner: Any = 1
    for _ in range(length):
        inner = [inner] if rng.random() < 0.5 else {"a": inner}
    return inner


def _place(rng: random.Random, subject: Any) -> Place:
    places = [place for place in _places(subject) if place[0] is not subject or rng.random() < 0.2]
    return rng.choice(places or [_first(subject)])


def _first(subject: Any) -> Place:
    subject.setdefault("request", None)
    return subject, "request"


def _places(node: Any) -> Iterator[Place]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


def _walk(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node
