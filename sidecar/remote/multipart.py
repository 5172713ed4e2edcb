"""Objects too large for one PUT: cut into parts, and visible only once the last word is said.

Part of the S3 adapter. The parts go out a few at a time while the next one is being read; nothing
else overlaps. Resuming an upload after a restart is not here yet.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from runtime.logs import fields
from sidecar.errors import NotFound, PreconditionFailed, Quarantined, SyncError
from sidecar.remote.attempt import Attempt
from sidecar.remote.client import Ask, Client
from sidecar.remote.documents import completion
from sidecar.remote.etags import bare
from sidecar.remote.failures import Garbled
from sidecar.remote.objects import condition_headers, described, head_object, told_etag
from sidecar.remote.store import Condition, IfAbsent, ObjectOptions
from sidecar.tree import ETag, ObjectKey

log = logging.getLogger(__name__)

OPERATION: Final = "put_large"
SMALLEST_PART: Final = 8 * 2**20  # bytes; S3 wants 5 MiB at least
_PART_COUNT: Final = 9_000  # S3 takes 10,000; a file may have grown since its size was read
_LARGEST_OBJECT: Final = 5 * 2**40  # bytes
_IN_FLIGHT: Final = 2  # parts sent at once, beside the one being read

Part = tuple[int, str]  # number, and ETag as it came


def part_size(size: int) -> int:
    """Bytes in each part of an object of about ``size`` bytes."""
    return max(SMALLEST_PART, -(-size // _PART_COUNT))


def upload(
    client: Client,
    attempt: Attempt,
    key: ObjectKey,
    size: int,
    chunks: Iterable[bytes],
    metadata: dict[str, str],
    condition: Condition | None,
    confirm: Callable[[], None],
    options: ObjectOptions,
) -> ETag:
    """Store an object part by part, as :meth:`ObjectStore.put_large` promises."""
    if size > _LARGEST_OBJECT:
        raise Quarantined(OPERATION, key, f"{size} bytes are more than an object can hold")
    one = _Upload(client, attempt, key, attempt(OPERATION, lambda: begin(client, key, metadata, options)))
    try:
        parts = one.send(cut(chunks, part_size(size)))
        confirm()
        return one.complete(parts, condition)
    except BaseException:
        one.abort()
        raise


def begin(client: Client, key: ObjectKey, metadata: dict[str, str], options: ObjectOptions) -> str:
    """Begin an upload; returns its id."""
    found = client.document(Ask(OPERATION, "POST", key, {"uploads": ""}, described(metadata, options)))
    if not found.get("UploadId"):
        raise Garbled(OPERATION, key, "the server began an upload without an id")
    return found["UploadId"]


def cut(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """``chunks`` joined and cut anew into pieces of ``size`` bytes; at least one, the last one shorter."""
    pending = bytearray()
    count = 0
    for chunk in chunks:
        pending += chunk
        while len(pending) > size:  # not >=: the last piece must not be an empty one
            yield bytes(memoryview(pending)[:size])
            del pending[:size]
            count += 1
    if pending or not count:
        yield bytes(pending)


class _Upload:
    """One multipart upload under way."""

    def __init__(self, client: Client, attempt: Attempt, key: ObjectKey, upload_id: str) -> None:
        self._client = client
        self._attempt = attempt
        self._key = key
        self._id = upload_id

    def send(self, bodies: Iterator[bytes]) -> list[Part]:
        """Send the parts, at most :data:`_IN_FLIGHT` at once; returns what completing wants to know."""
        done: list[Part] = []
        flying: deque[Future[Part]] = deque()
        with ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="part") as pool:
            try:
                for number, body in enumerate(bodies, start=1):
                    if len(flying) == _IN_FLIGHT:
                        done.append(flying.popleft().result())
                    flying.append(pool.submit(self._part, number, body))
                done.extend(each.result() for each in flying)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)  # before aborting: a late part would stay for ever
                raise
        return done

    def complete(self, parts: list[Part], condition: Condition | None) -> ETag:
        """Make the object visible where ``condition`` still holds."""
        self._check(condition)
        # Not tried again: after a lost answer the upload is gone, and whether it took effect is
        # for the next cycle to see.
        try:
            body, query = completion(parts), {"uploadId": self._id}
            headers = condition_headers(condition)
            found = self._client.document(Ask(OPERATION, "POST", self._key, query, headers, body, slow=True))
        except NotFound as error:
            raise PreconditionFailed(OPERATION, self._key, "the object is gone") from error
        return bare(found.get("ETag", ""))

    def abort(self) -> None:
        """Have the server drop the parts. Failing at it must not hide why the upload ended."""
        try:
            self._client.call(Ask("abort", "DELETE", self._key, {"uploadId": self._id}))
        except SyncError as error:
            log.debug("upload not aborted", **fields(key=self._key, reason=error.reason))

    def _part(self, number: int, body: bytes) -> Part:
        def send() -> Part:
            query = {"partNumber": str(number), "uploadId": self._id}
            reply = self._client.call(Ask(OPERATION, "PUT", self._key, query, body=body))
            told_etag(OPERATION, self._key, reply.headers)
            return number, reply.headers["etag"]  # as it came: completing must name it so

        return self._attempt(OPERATION, send)

    def _check(self, condition: Condition | None) -> None:
        """Look whether ``condition`` holds: not every server that knows conditions heeds them on completion."""
        if condition is None:
            return
        try:
            etag = self._attempt(OPERATION, lambda: head_object(self._client, self._key)).etag
        except NotFound:
            etag = None
        wanted = None if isinstance(condition, IfAbsent) else condition.etag
        if etag != wanted:
            raise PreconditionFailed(OPERATION, self._key, "someone else wrote it meanwhile")
