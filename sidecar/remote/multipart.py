"""Objects too large for one PUT: cut into parts, and visible only once the last word is said.

Part of the S3 adapter. Parts go out several at once. A body that can be read anywhere is gone on with
after a restart (``uploads.py`` remembers how far it was); one that comes as a stream is not.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from runtime.logs import fields
from sidecar.errors import ChangedWhileReading, NotFound, PreconditionFailed, Quarantined, Refused, SyncError, Transient
from sidecar.remote.attempt import Attempt
from sidecar.remote.client import Ask, Client
from sidecar.remote.documents import completion
from sidecar.remote.etags import bare
from sidecar.remote.failures import Garbled, UploadGone
from sidecar.remote.objects import condition_headers, described, head_object, told_etag
from sidecar.remote.orphans import Orphans
from sidecar.remote.signing import Header
from sidecar.remote.store import META_SHA256, Condition, IfAbsent, ObjectOptions, Parts
from sidecar.remote.uploads import Begun, Intent, Uploads
from sidecar.tree import ETag, ObjectKey

log = logging.getLogger(__name__)

OPERATION: Final = "put_large"
SMALLEST_PART: Final = 8 * 2**20  # bytes; S3 wants 5 MiB at least
_MIB: Final = 2**20
_PART_COUNT: Final = 9_000  # S3 takes 10,000; a file may have grown since its size was read
_LARGEST_OBJECT: Final = 5 * 2**40  # bytes
_STREAMED: Final = 2  # parts of a stream sent at once, beside the one being read
_AT_ONCE: Final = 4  # parts of a body that can be read anywhere

Sent = tuple[int, str]  # a part's number, and its ETag as it came


def part_size(size: int) -> int:
    """Bytes in each part of an object of about ``size`` bytes: whole MiB."""
    return max(SMALLEST_PART, -(-size // _PART_COUNT // _MIB) * _MIB)


class Wanted(NamedTuple):
    """The object that is to be: ``size`` is about how many bytes it will have, ``headers`` come beside the others."""

    key: ObjectKey
    size: int
    metadata: dict[str, str]
    condition: Condition | None
    options: ObjectOptions
    headers: tuple[Header, ...] = ()

    @property
    def identity(self) -> str:
        """Equal for the same content stored in the same way; empty where the content's hash is not told."""
        if META_SHA256 not in self.metadata:
            return ""
        told = [self.size, sorted(self.metadata.items()), sorted(self.options.headers().items())]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class Sender:
    """Sends objects in parts. ``uploads`` None: none is gone on with after a restart. Thread-safe."""

    def __init__(self, client: Client, attempt: Attempt, uploads: Uploads | None) -> None:
        self._client = client
        self._attempt = attempt
        self._uploads = uploads
        self._orphans = Orphans(client, attempt, self._abort)

    def send(self, wanted: Wanted, chunks: Iterable[bytes], confirm: Callable[[], None]) -> ETag:
        """Store an object part by part, as :meth:`ObjectStore.put_large` promises."""
        if wanted.size > _LARGEST_OBJECT:
            raise Quarantined(OPERATION, wanted.key, f"{wanted.size} bytes are more than an object can hold")
        if self._uploads is not None and isinstance(chunks, Parts) and wanted.identity:
            with self._uploads.working_on(wanted.key):
                return self._resumable(wanted, chunks, confirm, self._uploads)

        def send(one: Upload) -> list[Sent]:
            each = part_size(wanted.size)
            if isinstance(chunks, Parts):
                sent = one.send_any(chunks, wanted.size, each, {}, lambda *_: None)
            else:
                sent = one.send_stream(cut(chunks, each))
            confirm()
            return sent

        return self.assemble(wanted, send)

    def end(self, begun: Begun) -> None:
        """Abort an upload that nobody will go on with, and forget it where that is certain."""
        if self._abort(begun.key, begun.upload_id) and self._uploads is not None:
            self._uploads.forget(begun.key)

    def settle(self, intent: Intent) -> None:
        """End what an upload left behind that was begun, but of which we know no id."""
        if self._orphans.end(intent) and self._uploads is not None:
            self._uploads.forget(intent.key)

    def assemble(self, wanted: Wanted, send: Callable[[Upload], list[Sent]]) -> ETag:
        """Store an object of the parts that ``send`` adds to an upload; what that raises aborts it and passes on."""
        if self._uploads is None:
            return self._at_once(wanted, send)
        with self._uploads.working_on(wanted.key):
            return self._at_once(wanted, send)

    def _at_once(self, wanted: Wanted, send: Callable[[Upload], list[Sent]]) -> ETag:
        if self._uploads is not None and (earlier := self._uploads.find(wanted.key)) is not None:
            self.end(earlier)
        begun = self._begin(wanted)
        one = Upload(self._client, self._attempt, wanted.key, begun.upload_id)
        try:
            etag = one.complete(send(one), wanted.condition)
        except BaseException:
            self.end(begun)
            raise
        if self._uploads is not None:
            self._uploads.forget(wanted.key)
        return etag

    def _resumable(self, wanted: Wanted, parts: Parts, confirm: Callable[[], None], uploads: Uploads) -> ETag:
        begun = self._found(wanted, uploads) or self._begin(wanted)
        one = Upload(self._client, self._attempt, wanted.key, begun.upload_id)
        try:
            done, size = begun.parts, begun.part_size
            sent = one.send_any(parts, wanted.size, size, done, lambda *part: uploads.add(wanted.key, *part))
            confirm()
        except UploadGone as error:
            uploads.forget(wanted.key)  # perhaps it was completed and only the answer lost: look at what is there
            raise PreconditionFailed(OPERATION, wanted.key, "its upload is gone from the server") from error
        except (ChangedWhileReading, PreconditionFailed, NotFound):
            self.end(begun)
            raise
        try:
            etag = one.complete(sent, wanted.condition)
        except UploadGone as error:
            uploads.forget(wanted.key)
            raise PreconditionFailed(OPERATION, wanted.key, "its upload is gone from the server") from error
        except Refused:
            self.end(begun)
            raise
        uploads.forget(wanted.key)
        return etag

    def _found(self, wanted: Wanted, uploads: Uploads) -> Begun | None:
        begun = uploads.find(wanted.key)
        if begun is None:
            return None
        if (begun.identity, begun.part_size) != (wanted.identity, part_size(wanted.size)):
            self.end(begun)  # of an earlier content
            return None
        log.info("upload resumed", **fields(key=wanted.key, parts=len(begun.parts)))
        return begun

    def _begin(self, wanted: Wanted) -> Begun:
        """Begin an upload; from before the server hears of it our state names it."""
        if self._uploads is None:
            return Begun(wanted.key, self._create(wanted)[0], wanted.identity, part_size(wanted.size))
        if (left := self._uploads.intent(wanted.key)) is not None:
            self.settle(left)
        intent = self._uploads.intend(wanted.key)
        try:
            upload_id, attempts = self._create(wanted)
        except Transient:
            raise  # perhaps it was begun all the same: the intent stays
        except SyncError:
            self._uploads.forget(wanted.key)
            raise
        if attempts > 1:  # an answer that was lost may have left another
            self._orphans.end(intent, keep=upload_id)
        begun = Begun(wanted.key, upload_id, wanted.identity, part_size(wanted.size))
        self._uploads.begin(begun)
        return begun

    def _create(self, wanted: Wanted) -> tuple[str, int]:
        """The new upload's id, and how many attempts that took."""
        ask = Ask(
            OPERATION, "POST", wanted.key, {"uploads": ""}, described(wanted.metadata, wanted.options) + wanted.headers
        )
        attempts = 0

        def create() -> dict[str, str]:
            nonlocal attempts
            attempts += 1
            return self._client.document(ask)

        upload_id = self._attempt(OPERATION, create).get("UploadId")
        if not upload_id:
            raise Garbled(OPERATION, wanted.key, "the server began an upload without an id")
        return upload_id, attempts

    def _abort(self, key: ObjectKey, upload_id: str) -> bool:
        return Upload(self._client, self._attempt, key, upload_id).abort()


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


class Upload:
    """One multipart upload under way; ``id`` is the server's."""

    def __init__(self, client: Client, attempt: Attempt, key: ObjectKey, upload_id: str) -> None:
        self._client = client
        self._attempt = attempt
        self._key = key
        self.id = upload_id

    def send_stream(self, bodies: Iterator[bytes]) -> list[Sent]:
        """Send the parts, at most :data:`_STREAMED` at once; returns what completing wants to know."""
        done: list[Sent] = []
        flying: deque[Future[Sent]] = deque()
        with ThreadPoolExecutor(_STREAMED, thread_name_prefix="part") as pool:
            try:
                for number, body in enumerate(bodies, start=1):
                    if len(flying) == _STREAMED:
                        done.append(flying.popleft().result())
                    flying.append(pool.submit(self._part, number, body, None))
                done.extend(each.result() for each in flying)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)  # before aborting: a late part would stay for ever
                raise
        return done

    def send_any(
        self, parts: Parts, size: int, each: int, done: dict[int, str], note: Callable[[int, str], None]
    ) -> list[Sent]:
        """Send the parts of ``each`` bytes that are not ``done``; ``note`` hears of each, in any order."""
        missing = iter([number for number in range(1, max(1, -(-size // each)) + 1) if number not in done])
        sent = dict(done)
        lock = threading.Lock()
        failed = threading.Event()

        def work() -> None:
            while not failed.is_set():
                with lock:
                    number = next(missing, None)
                if number is None:
                    return
                offset = (number - 1) * each
                try:
                    with parts.part(offset, min(each, size - offset)) as part:
                        _, etag = self._part(number, part.body, part.sha256)
                except BaseException:
                    failed.set()
                    raise
                with lock:
                    sent[number] = etag
                    note(number, etag)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="part") as pool:
            workers = [pool.submit(work) for _ in range(_AT_ONCE)]
        for worker in workers:
            worker.result()
        return sorted(sent.items())

    def complete(self, parts: list[Sent], condition: Condition | None) -> ETag:
        """Make the object visible where ``condition`` still holds."""
        self._check(condition)
        # Not tried again: after a lost answer the upload is gone, and whether it took effect is
        # for the next cycle to see.
        try:
            body, query = completion(parts), {"uploadId": self.id}
            headers = condition_headers(condition)
            found = self._client.document(Ask(OPERATION, "POST", self._key, query, headers, body, slow=True))
        except NotFound as error:
            raise PreconditionFailed(OPERATION, self._key, "the object is gone") from error
        return bare(found.get("ETag", ""))

    def abort(self) -> bool:
        """Have the server drop the parts. Failing at it must not hide why the upload ended.

        False where it may still be there and asking again may help.
        """
        try:
            self._client.call(Ask("abort", "DELETE", self._key, {"uploadId": self.id}))
        except UploadGone:
            pass
        except SyncError as error:
            log.debug("upload not aborted", **fields(key=self._key, reason=error.reason))
            return not isinstance(error, Transient)
        return True

    def _part(self, number: int, body: bytes | memoryview, sha256: str | None) -> Sent:
        query = {"partNumber": str(number), "uploadId": self.id}
        ask = Ask(OPERATION, "PUT", self._key, query, body=body, payload=sha256)

        def send() -> Sent:
            reply = self._client.call(ask)
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
