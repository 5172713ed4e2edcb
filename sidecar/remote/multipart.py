"""Objects too large for one PUT: cut into parts, and visible only once the last word is said.

Part of the S3 adapter. The parts go out a few at a time while the next one is being read; nothing
else overlaps. Resuming an upload after a restart is not here yet.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from runtime.logs import fields
from sidecar.errors import NotFound, PreconditionFailed, Quarantined, SyncError
from sidecar.remote.attempt import Attempt
from sidecar.remote.control import Control, condition_headers, option_parameters
from sidecar.remote.etags import bare
from sidecar.remote.store import Condition, IfAbsent, ObjectOptions
from sidecar.tree import ETag, ObjectKey

log = logging.getLogger(__name__)

OPERATION: Final = "put_large"
SMALLEST_PART: Final = 8 * 2**20  # bytes; S3 wants 5 MiB at least
_PART_COUNT: Final = 9_000  # S3 takes 10,000; a file may have grown since its size was read
_LARGEST_OBJECT: Final = 5 * 2**40  # bytes
_IN_FLIGHT: Final = 2  # parts sent at once, beside the one being read


def part_size(size: int) -> int:
    """Bytes in each part of an object of about ``size`` bytes."""
    return max(SMALLEST_PART, -(-size // _PART_COUNT))


def upload(
    control: Control,
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
    parameters = option_parameters(options)
    begun = attempt(
        OPERATION,
        lambda: control.call(OPERATION, "create_multipart_upload", key, Metadata=metadata, **parameters),
    )
    one = _Upload(control, attempt, key, begun["UploadId"])
    try:
        parts = one.send(cut(chunks, part_size(size)))
        confirm()
        return one.complete(parts, condition)
    except BaseException:
        one.abort()
        raise


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

    def __init__(self, control: Control, attempt: Attempt, key: ObjectKey, upload_id: str) -> None:
        self._control = control
        self._attempt = attempt
        self._key = key
        self._id = upload_id

    def send(self, bodies: Iterator[bytes]) -> list[dict[str, Any]]:
        """Send the parts, at most :data:`_IN_FLIGHT` at once; returns what completing wants to know."""
        done: list[dict[str, Any]] = []
        flying: deque[Future[dict[str, Any]]] = deque()
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

    def complete(self, parts: list[dict[str, Any]], condition: Condition | None) -> ETag:
        """Make the object visible where ``condition`` still holds."""
        self._check(condition)
        # Not tried again: after a lost answer the upload is gone, and whether it took effect is
        # for the next cycle to see.
        try:
            answer = self._control.call(
                OPERATION,
                "complete_multipart_upload",
                self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
                **condition_headers(condition),
            )
        except NotFound as error:
            raise PreconditionFailed(OPERATION, self._key, "the object is gone") from error
        return bare(answer["ETag"])

    def abort(self) -> None:
        """Have the server drop the parts. Failing at it must not hide why the upload ended."""
        try:
            self._control.call("abort", "abort_multipart_upload", self._key, UploadId=self._id)
        except SyncError as error:
            log.debug("upload not aborted", **fields(key=self._key, reason=error.reason))

    def _part(self, number: int, body: bytes) -> dict[str, Any]:
        def send() -> dict[str, Any]:
            answer = self._control.call(
                OPERATION, "upload_part", self._key, UploadId=self._id, PartNumber=number, Body=body
            )
            return {"PartNumber": number, "ETag": answer["ETag"]}

        return self._attempt(OPERATION, send)

    def _check(self, condition: Condition | None) -> None:
        """Look whether ``condition`` holds: not every server that knows conditions heeds them on completion."""
        if condition is None:
            return
        try:
            etag = self._attempt(OPERATION, lambda: self._control.head(self._key)).etag
        except NotFound:
            etag = None
        wanted = None if isinstance(condition, IfAbsent) else condition.etag
        if etag != wanted:
            raise PreconditionFailed(OPERATION, self._key, "someone else wrote it meanwhile")
