"""What an S3 server or a library said, translated into the sidecar's errors.

Part of the S3 adapter, and pure. obstore's errors carry no status code, only text: this is the one
place that reads it (its ``Debug source`` part, where keys and bodies are escaped and cannot pose as
a status line), and ``tests/sidecar/remote/test_failures.py`` pins each shape by a real answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from botocore import exceptions as boto
from urllib3 import exceptions as urllib3

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


class Garbled(Refused):
    """The server did as asked, but a library cannot read its answer. Asking again gives the same."""


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
    "NoSuchUpload": Transient,  # completed or aborted meanwhile: the next cycle sees which
}
_BY_STATUS: Final[dict[int, type[SyncError]]] = {
    301: Misconfigured,
    307: Misconfigured,
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

_OBSTORE_STATUS = re.compile(r"^ *status: (\d{3}),$", re.MULTILINE)
_OBSTORE_BODY = re.compile(r'^ *body: Some\(\n *"(.*)",$', re.MULTILINE)
_OBSTORE_TLS = re.compile(
    r"\b(?:InvalidCertificate|InvalidMessage|InvalidContentType|AlertReceived|PeerIncompatible|PeerMisbehaved)\b"
)
_OBSTORE_DEBUG: Final = "\n\nDebug source:\n"
_CODE = re.compile(r"<Code>\s*([^<]*?)\s*</Code>")
_MESSAGE = re.compile(r"<Message>\s*([^<]*?)\s*</Message>")
_DETAIL_LIMIT: Final = 300  # characters of a server's message that are passed on


@dataclass(frozen=True, slots=True)
class Answer:
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


def obstore_answer(error: BaseException) -> Answer | None:
    """The server's refusal inside an exception of obstore, or None where it never answered."""
    debug = str(error).rpartition(_OBSTORE_DEBUG)[2]
    status = _OBSTORE_STATUS.search(debug)
    if status is None:
        return None
    body = _OBSTORE_BODY.search(debug)
    return Answer.from_body(int(status[1]), body[1].replace('\\"', '"').replace("\\n", "\n") if body else "")


def from_obstore(operation: str, subject: str, error: BaseException) -> SyncError:
    """The error for an exception of obstore."""
    answer = obstore_answer(error)
    if answer is not None:
        return from_answer(operation, subject, answer)
    text, _, debug = str(error).rpartition(_OBSTORE_DEBUG)
    detail = text.rpartition(" - ")[2][:_DETAIL_LIMIT]
    if _OBSTORE_TLS.search(debug):
        return Untrusted(operation, subject, _last_cause(debug))
    if re.search(r"^ *inner: BareRedirect,$", debug, re.MULTILINE):
        return Misconfigured(operation, subject, "the server redirects", hint="check BUCKET_REGION and BUCKET_HOST")
    if "External AWS credential provider" in text:
        return AccessDenied(operation, subject, detail)
    if "HttpError {" in debug or "reqwest::Error" in debug:
        return Unreachable(operation, subject, _last_cause(debug) or detail)
    return Garbled(operation, subject, detail or debug[:_DETAIL_LIMIT])


def _last_cause(debug: str) -> str:
    """The innermost words of a Rust error: its message, or its names from the outside in."""
    messages = re.findall(r'message: "([^"]*)"', debug)
    if messages:
        return str(messages[-1])
    names = re.findall(r"^ *(?:\w+: )?([A-Z]\w+)[({,]*$", debug, re.MULTILINE)
    return " ".join(name for name in names[-2:] if name not in ("Some", "Request"))


def from_boto(operation: str, subject: str, error: Exception, now: float) -> SyncError:
    """The error for an exception of botocore (or of urllib3 below it); ``now`` in seconds since the epoch."""
    if isinstance(error, boto.ClientError):
        return from_answer(operation, subject, boto_answer(error, now))
    if isinstance(error, boto.SSLError | urllib3.SSLError):
        return Untrusted(operation, subject, _cause(error))
    if isinstance(error, boto.NoCredentialsError | boto.CredentialRetrievalError | boto.PartialCredentialsError):
        return AccessDenied(operation, subject, str(error), hint="the default chain of credentials gave none")
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | urllib3.HTTPError | boto.IncompleteReadError):
        return Unreachable(operation, subject, _cause(error))
    if isinstance(error, boto.ParamValidationError):
        return Refused(operation, subject, str(error)[:_DETAIL_LIMIT])
    return Transient(operation, subject, str(error)[:_DETAIL_LIMIT])


def boto_answer(error: boto.ClientError, now: float) -> Answer:
    """The server's refusal inside ``error``; of a HEAD, botocore makes the status the code."""
    response = error.response
    about = response.get("ResponseMetadata", {})
    code = str(response.get("Error", {}).get("Code", ""))
    skew = clock_skew(about.get("HTTPHeaders", {}).get("date"), now)
    message = str(response.get("Error", {}).get("Message", ""))
    return Answer(int(about.get("HTTPStatusCode", 0)), "" if code.isdigit() else code, message, skew)


def _cause(error: Exception) -> str:
    inner = error.kwargs.get("error", error) if isinstance(error, boto.BotoCoreError) else error
    return str(inner)[:_DETAIL_LIMIT]
