"""What an S3 server or the way to it said, translated into the sidecar's errors.

Part of the S3 adapter, and pure. The class follows the code in the error document where there is
one, else the status; never the words, which differ from server to server.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from sidecar.errors import (
    AccessDenied,
    ClockSkewed,
    Misconfigured,
    NoSuchBucket,
    NotFound,
    PreconditionFailed,
    Quarantined,
    Refused,
    SyncError,
    Throttled,
    Transient,
    Unreachable,
    Untrusted,
)
from sidecar.remote.wire import UntrustedServer


class Garbled(Refused):
    """The answer, or the request, is not as HTTP or S3 has it. Asking again gives the same."""


class UploadGone(Transient):
    """The server knows no such multipart upload: completed, aborted, or thrown away meanwhile."""


_BY_CODE: Final[dict[str, type[SyncError]]] = {
    "NoSuchBucket": NoSuchBucket,
    "NoSuchKey": NotFound,
    "PreconditionFailed": PreconditionFailed,
    "RequestTimeTooSkewed": ClockSkewed,
    "RequestExpired": ClockSkewed,
    "SlowDown": Throttled,
    "TooManyRequests": Throttled,
    "Throttling": Throttled,
    "ThrottlingException": Throttled,
    "RequestLimitExceeded": Throttled,
    "AccessDenied": AccessDenied,
    "InvalidAccessKeyId": AccessDenied,
    "SignatureDoesNotMatch": AccessDenied,
    "ExpiredToken": AccessDenied,
    "InvalidToken": AccessDenied,
    "AccountProblem": AccessDenied,
    "AuthorizationHeaderMalformed": Misconfigured,  # the region is not the bucket's
    "PermanentRedirect": Misconfigured,
    "InvalidBucketName": NoSuchBucket,
    "KeyTooLongError": Quarantined,
    "RequestTimeout": Transient,  # comes as 400: our body was too slow
    "IncompleteBody": Transient,
    "BadDigest": Transient,
    "XAmzContentSHA256Mismatch": Transient,
    "InternalError": Transient,
    "OperationAborted": Transient,
    "ConditionalRequestConflict": Transient,  # somebody writes the same key at this moment
    "NoSuchUpload": UploadGone,
}
_BY_STATUS: Final[dict[int, type[SyncError]]] = {
    301: Misconfigured,
    302: Misconfigured,
    307: Misconfigured,
    308: Misconfigured,
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    408: Transient,
    409: Transient,
    412: PreconditionFailed,
    429: Throttled,
    501: Refused,
    507: Refused,  # the server is full; asking again at once makes no room
}
# What Go's and nginx's servers say in plain text to HTTP on a TLS port.
_HTTP_ON_TLS = re.compile(r"HTTP request (?:was sent )?to (?:an )?HTTPS")

_CODE = re.compile(r"<Code>\s*([^<]*?)\s*</Code>")
_MESSAGE = re.compile(r"<Message>\s*([^<]*?)\s*</Message>")
_DETAIL_LIMIT: Final = 300  # characters of a server's message that are passed on


class Answer(NamedTuple):
    """A server's refusal. ``skew``: seconds that our clock is ahead of the server's, where it is known."""

    status: int
    code: str = ""
    message: str = ""
    skew: float | None = None

    @staticmethod
    def from_body(status: int, body: str, skew: float | None = None) -> Answer:
        """The answer with this error document (or any other text) as its body."""
        code, message = _CODE.search(body), _MESSAGE.search(body)
        if code is None:
            return Answer(status, "", body.strip(), skew)
        return Answer(status, code[1], message[1] if message else "", skew)


def clock_skew(date: str | None, now: float) -> float | None:
    """Seconds that ``now`` is ahead of the ``Date`` header, or None where there is no usable one."""
    try:
        return now - parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def from_answer(operation: str, subject: str, answer: Answer) -> SyncError:
    """The error for a refusal of the server."""
    if answer.code == "" and _HTTP_ON_TLS.search(answer.message):
        return Untrusted(operation, subject, "the port speaks TLS, not plain HTTP")
    kind = _BY_CODE.get(answer.code) or _BY_STATUS.get(answer.status) or _by_class(answer.status)
    if kind is ClockSkewed and answer.skew is not None:
        side = "ahead of" if answer.skew > 0 else "behind"
        return ClockSkewed(operation, subject, f"the clock is {abs(answer.skew):.0f} s {side} the server's")
    detail = f"{answer.status} {answer.code}".strip()
    if answer.message:
        detail += f": {answer.message[:_DETAIL_LIMIT]}"
    return kind(operation, subject, detail)


def _by_class(status: int) -> type[SyncError]:
    # A code below 400 here is a success with an error inside, or a broken one: both may pass.
    return Refused if 400 <= status < 500 else Transient


def from_network(operation: str, subject: str, error: Exception) -> SyncError:
    """The error for a connection that could not be had, or broke."""
    if isinstance(error, UntrustedServer):
        return Untrusted(operation, subject, str(error)[:_DETAIL_LIMIT])
    if isinstance(error, TimeoutError) and error.errno is None:
        return Unreachable(operation, subject, "nothing moved for too long")
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Unreachable(operation, subject, told[:_DETAIL_LIMIT])
