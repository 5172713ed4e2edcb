"""Single objects: how they are described in headers, and the requests about one of them.

Part of the S3 adapter. Objects of many parts are ``multipart.py``'s.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final

from sidecar.errors import NotFound, PreconditionFailed, Transient
from sidecar.remote.client import Ask, Client
from sidecar.remote.etags import bare, quoted
from sidecar.remote.failures import Garbled
from sidecar.remote.signing import Header
from sidecar.remote.store import Condition, Download, HashedBody, IfMatch, NoRanges, ObjectInfo, ObjectOptions
from sidecar.tree import ETag, ObjectKey

META: Final = "x-amz-meta-"
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_CHUNK: Final = 256 * 2**10  # bytes of a body handed on at once, at most
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


def described(metadata: dict[str, str], options: ObjectOptions) -> tuple[Header, ...]:
    """The headers that give an object its metadata, and say how to store it."""
    return (*options.headers().items(), *[(META + name, value) for name, value in metadata.items()])


def condition_headers(condition: Condition | None) -> tuple[Header, ...]:
    """The headers that make a write conditional."""
    if condition is None:
        return ()
    return (("if-match", quoted(condition.etag)),) if isinstance(condition, IfMatch) else (("if-none-match", "*"),)


def head_object(client: Client, key: ObjectKey) -> ObjectInfo:
    """What is known of ``key``; :class:`NotFound` where it is not there."""
    return info_from(key, client.call(Ask("head", "HEAD", key)).headers)


def put_object(
    client: Client,
    key: ObjectKey,
    body: bytes,
    metadata: dict[str, str],
    condition: Condition | None,
    options: ObjectOptions,
) -> ETag:
    """Store ``body`` in one request; returns the new ETag."""
    headers = described(metadata, options) + condition_headers(condition)
    payload = body.sha256 if isinstance(body, HashedBody) else None
    ask = Ask("put", "PUT", key, headers=headers, body=body, payload=payload)
    return told_etag("put", key, client.call(ask).headers)


@contextmanager
def get_object(client: Client, key: ObjectKey, etag: ETag) -> Iterator[Download]:
    """Read one version of ``key`` from front to back."""
    ask = Ask("get", "GET", key, headers=(("if-match", quoted(etag)),))
    with client.open(ask) as response:
        info = info_from(key, response.headers)
        if info.etag != etag:  # a server that heeds no conditions
            raise PreconditionFailed("get", key, "another version came than was asked for")
        yield Download(info, client.pieces(ask, response, _CHUNK))


def read_range(
    client: Client, key: ObjectKey, etag: ETag, start: int, size: int, write: Callable[[int, memoryview], None]
) -> ObjectInfo:
    """Read part of one version of ``key``, as :meth:`ObjectStore.read_range` promises."""
    span = ("range", f"bytes={start}-{start + size - 1}")
    ask = Ask("get", "GET", key, headers=(("if-match", quoted(etag)), span))
    view = memoryview(bytearray(min(size, _CHUNK)))
    with client.open(ask) as response:
        told = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if response.status != 206 or told is None:
            raise NoRanges("get", key, "the server answers a range with a whole object")
        info = replace(info_from(key, response.headers), size=int(told[3]))
        if (int(told[1]), int(told[2])) != (start, start + size - 1) or (info.etag and info.etag != etag):
            raise PreconditionFailed("get", key, "another version came than was asked for")
        done = 0
        while done < size and (got := client.into(ask, response, view[: size - done])):
            write(start + done, view[:got])
            done += got
    if done < size:
        raise Transient("get", key, f"{done} bytes came of a range of {size}")
    return info


def copy_object(client: Client, source: ObjectKey, target: ObjectKey, etag: ETag | None) -> None:
    """Copy inside the bucket, metadata included; only the version ``etag``, where one is given."""
    headers: tuple[Header, ...] = (("x-amz-copy-source", client.place_of(source)), ("x-amz-metadata-directive", "COPY"))
    if etag is not None:
        headers += (("x-amz-copy-source-if-match", quoted(etag)),)
    client.document(Ask("copy", "PUT", target, headers=headers, slow=True))


def delete_object(client: Client, key: ObjectKey, etag: ETag) -> None:
    """Remove one version of ``key``; no error where it is gone already."""
    with suppress(NotFound):
        try:
            client.call(Ask("delete", "DELETE", key, headers=(("if-match", quoted(etag)),)))
        except PreconditionFailed:
            head_object(client, key)  # some servers say this of an object that is gone, and that is none to complain of
            raise


def info_from(key: ObjectKey, headers: dict[str, str]) -> ObjectInfo:
    """What the headers of an answer tell of the object.

    Raises:
        Garbled: they make no sense.
    """
    try:
        size = int(headers["content-length"])
        modified = http_time(headers["last-modified"]) if "last-modified" in headers else 0.0
    except (KeyError, ValueError) as error:
        raise Garbled("get", key, f"its headers lack or garble {error}") from error
    metadata = {name[len(META) :]: value for name, value in headers.items() if name.startswith(META)}
    return ObjectInfo(size, told_etag("get", key, headers), modified, metadata)


def told_etag(operation: str, key: ObjectKey, headers: dict[str, str]) -> ETag:
    """The ETag in the headers of a success.

    Raises:
        Garbled: there is none: something between us and the server answered in its place, perhaps with
            an error, and nothing may be believed to be stored.
    """
    etag = bare(headers.get("etag", ""))
    if not etag:
        raise Garbled(operation, key, "a success without an ETag is no answer of an S3 server")
    return etag


def http_time(text: str) -> float:
    """Seconds since the epoch of a time in a header.

    Raises:
        ValueError: it is none.
    """
    parts = text.split(" ")
    if len(parts) == 6 and parts[5] == "GMT" and parts[2] in _MONTHS:  # the form that everybody sends, read fast
        hours, minutes, seconds = parts[4].split(":")
        moment = (int(parts[3]), _MONTHS[parts[2]], int(parts[1]), int(hours), int(minutes), int(seconds))
        return float(calendar.timegm(moment))
    return parsedate_to_datetime(text).timestamp()
