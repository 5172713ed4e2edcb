"""The rare operations, by botocore's client: copies, and single objects whose keys obstore refuses.

Part of the S3 adapter. The client is made at first use, in the one place that costs its memory.
Multipart is next door in ``multipart.py``.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from sidecar.errors import NotFound, PreconditionFailed, Quarantined, Transient
from sidecar.remote.etags import bare, quoted
from sidecar.remote.failures import Garbled, boto_answer, from_boto
from sidecar.remote.listing import Report
from sidecar.remote.store import Condition, Download, IfMatch, ObjectInfo, ObjectOptions
from sidecar.tree import ETag, ObjectKey

CHUNK: Final = 2**20  # bytes of a body handed on at once
# What obstore calls an illegal path: control characters, and components that are empty, "." or "..".
_ODD = re.compile(r"[\x00-\x1f\x7f]|(?:^|/)\.{0,2}(?:/|$)")


def is_odd(key: str) -> bool:
    """Whether obstore would refuse ``key`` or, with a trailing ``/``, take it for another."""
    return _ODD.search(key) is not None


def condition_headers(condition: Condition | None) -> dict[str, str]:
    """The parameters with which botocore makes a write conditional."""
    if condition is None:
        return {}
    return {"IfMatch": quoted(condition.etag)} if isinstance(condition, IfMatch) else {"IfNoneMatch": "*"}


def option_parameters(options: ObjectOptions) -> dict[str, str]:
    """The parameters with which botocore stores an object as ``options`` say."""
    parameters = {
        "ContentType": options.content_type,
        "StorageClass": options.storage_class,
        "ServerSideEncryption": options.encryption,
        "SSEKMSKeyId": options.kms_key_id,
        "Tagging": options.tagging,
    }
    return {name: value for name, value in parameters.items() if value}


class Control:
    """botocore's client with its exceptions translated and its requests counted. Thread-safe."""

    def __init__(self, bucket: str, make_client: Callable[[], Any], report: Report) -> None:
        self.bucket = bucket
        self._make_client = make_client
        self._report = report
        self._client: Any = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            self._client.close()

    def call(self, operation: str, method: str, key: ObjectKey, **parameters: Any) -> Any:
        """The answer to one request about ``key``.

        Raises:
            SyncError: whatever went wrong, translated.
        """
        with self.translating(operation, key):
            return getattr(self._connected(), method)(Bucket=self.bucket, Key=sendable(key), **parameters)

    @contextmanager
    def translating(self, operation: str, key: str) -> Iterator[None]:
        """Count what happens inside as one request, and raise only the sidecar's errors from it."""
        code = "200"
        try:
            yield
        except (BotoCoreError, ClientError, HTTPError) as error:
            code = str(boto_answer(error, 0).status) if isinstance(error, ClientError) else "error"
            raise from_boto(operation, key, error, time.time()) from error
        except ValueError as error:  # a success whose headers make no sense
            raise Garbled(operation, key, str(error)) from error
        finally:
            self._report(operation, code)

    def head(self, key: ObjectKey) -> ObjectInfo:
        """What is known of ``key``; :class:`NotFound` where it is not there."""
        return _info(self.call("head", "head_object", key))

    def put(
        self,
        key: ObjectKey,
        body: bytes,
        metadata: dict[str, str],
        condition: Condition | None,
        options: ObjectOptions,
    ) -> ETag:
        """Store ``body`` in one request; returns the new ETag."""
        parameters = condition_headers(condition) | option_parameters(options)
        return bare(self.call("put", "put_object", key, Body=body, Metadata=metadata, **parameters).get("ETag", ""))

    @contextmanager
    def get(self, key: ObjectKey, etag: ETag) -> Iterator[Download]:
        """Read one version of ``key``."""
        answer = self.call("get", "get_object", key, IfMatch=quoted(etag))
        body = answer["Body"]
        try:
            yield Download(_info(answer), self._chunks(key, body))
        finally:
            body.close()

    def copy(self, source: ObjectKey, target: ObjectKey) -> None:
        """Copy inside the bucket, metadata included. Objects over 5 GiB are refused by the server."""
        place = {"Bucket": self.bucket, "Key": sendable(source)}
        self.call("copy", "copy_object", target, CopySource=place, MetadataDirective="COPY")

    def delete(self, key: ObjectKey, etag: ETag) -> None:
        """Remove one version of ``key``."""
        with suppress(NotFound):
            try:
                self.call("delete", "delete_object", key, IfMatch=quoted(etag))
            except PreconditionFailed:
                self.head(key)  # some servers say this of an object that is gone, and that is none to complain of
                raise

    def _chunks(self, key: ObjectKey, body: Any) -> Iterator[bytes]:
        try:
            yield from body.iter_chunks(CHUNK)
        except (BotoCoreError, HTTPError, OSError) as error:
            raise Transient("get", key, f"the body broke off: {error}") from error

    def _connected(self) -> Any:
        with self._lock:  # making a client is not thread-safe, using it is
            if self._client is None:
                self._client = self._make_client()
        return self._client


def sendable(key: ObjectKey) -> str:
    """``key`` itself, or :class:`Quarantined` where it holds bytes that are no UTF-8 and cannot be sent."""
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise Quarantined("send", ascii(key), "the key is no valid UTF-8") from error
    return key


def _info(answer: dict[str, Any]) -> ObjectInfo:
    modified: datetime | None = answer.get("LastModified")
    seconds = modified.timestamp() if modified else 0.0
    metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    return ObjectInfo(int(answer["ContentLength"]), bare(answer.get("ETag", "")), seconds, metadata)
