"""How the S3 libraries connect: addresses, time limits, and whose certificates are trusted.

Part of the S3 adapter: one description, handed to obstore, to the signed listing and to botocore
alike, so that they never differ in what they reach or trust. Library retries are off everywhere:
``retry.py`` is the only place that tries again.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.utils import get_environ_proxies
from obstore.store import S3Store as Obstore

from contract.storage import Credentials, Storage
from sidecar.remote.credentials import KeySource, obstore_provider

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CONNECT_SECONDS: Final = 5.0
STALL_SECONDS: Final = 25.0  # without a single byte; a slow but steady download may take for ever
# No library counts a body on its way out as a sign of life, and the server answers only when it has
# it all. So this is how long a body of 8 MiB may take: it allows for links of 28 KB/s.
SENDING_SECONDS: Final = 300.0
_POOL: Final = 32  # connections kept for the signed listing and for multipart


def bucket_url(storage: Storage) -> str:
    """The URL of the bucket, without a trailing slash."""
    if storage.virtual_hosted:
        return storage.endpoint.replace("://", f"://{storage.bucket}.", 1)
    return f"{storage.endpoint}/{quote(storage.bucket)}"


def open_obstore(storage: Storage, source: KeySource, credentials: Credentials, stall: float) -> Obstore:
    """obstore's view of the bucket.

    It starts from every ``AWS_*`` variable of its process, so each setting with which one could turn
    requests elsewhere or leave them unsigned is given here, at its default or not.
    """
    # obstore wants the bucket inside a virtual-hosted endpoint.
    endpoint = bucket_url(storage) if storage.virtual_hosted else storage.endpoint
    options: ClientConfig = {
        "allow_http": storage.scheme == "http",
        "connect_timeout": f"{CONNECT_SECONDS} s",
        "read_timeout": f"{stall} s",
        "timeout": "7 days",  # never the whole request: 30 s by default would end every long download
        "pool_idle_timeout": "30 s",
    }
    if storage.ca_pem:
        options["root_certificate"] = storage.ca_pem
    return Obstore(
        bucket=storage.bucket,
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region=storage.region,
        virtual_hosted_style_request=storage.virtual_hosted,
        skip_signature=False,
        unsigned_payload=False,
        s3_express=False,
        request_payer=False,
        conditional_put="etag",
        client_options=options,
        retry_config={"max_retries": 0},
        credential_provider=obstore_provider(source, credentials),
    )


def open_session(storage: Storage, stall: float) -> URLLib3Session:
    """A pool of connections for requests that we sign ourselves."""
    proxies = get_environ_proxies(storage.endpoint)
    timeout: Any = (CONNECT_SECONDS, stall)  # the stubs know neither a pair here nor a path below
    verify: Any = trusted(storage)
    return URLLib3Session(verify=verify, proxies=proxies, timeout=timeout, max_pool_connections=_POOL)


def open_client(storage: Storage, source: KeySource, credentials: Credentials, patience: float) -> Any:
    """botocore's S3 client, for what obstore cannot do. With static keys it reads no variable and no file.

    ``patience`` is in seconds without an answer: parts may be slow to send, and copies slow to make.
    """
    from botocore.config import Config  # noqa: PLC0415 - boto's weight comes with the first rare operation
    from botocore.session import Session  # noqa: PLC0415

    config = Config(
        region_name=storage.region,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=patience,
        max_pool_connections=_POOL,
        retries={"total_max_attempts": 1, "mode": "standard"},
        s3={"addressing_style": "virtual" if storage.virtual_hosted else "path"},
        signature_version="s3v4",
        # Many servers choke on the checksum trailers that are the default since 2025.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = Session(session_vars=_NO_FILES if credentials is Credentials.KEYS else None)
    verify = trusted(storage)
    place: dict[str, Any] = {"endpoint_url": storage.endpoint, "verify": verify, "config": config}
    if credentials is Credentials.KEYS:
        keys = source()
        place |= {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
        place |= {"aws_session_token": keys.token}
    client = session.create_client("s3", **place)
    client.meta.events.register("before-call.s3", _never_redirect)
    return client


def _never_redirect(params: dict[str, Any], **_: Any) -> None:
    """Keep botocore from following a PermanentRedirect by itself: it asks the same server where to go, for ever."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


# Option, variable, default, converter: without names in the first two nothing can be configured.
_NO_FILES: Final[dict[str, tuple[None, None, str | None, None]]] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def trusted(storage: Storage) -> str | bool:
    """What botocore takes as ``verify``: the usual authorities, and the storage's own beside them."""
    return _bundle(storage.ca_pem) if storage.ca_pem else True


@cache
def _bundle(ca_pem: str) -> str:
    """A file with the usual authorities and ``ca_pem``: in memory, since the root may be read-only.

    botocore takes a path only. The file lives as long as the process; there is one for each text.
    """
    with open(str(get_cert_path(True)), encoding="utf-8") as usual:
        text = usual.read() + "\n" + ca_pem
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("data-sync-ca")
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp(prefix="data-sync-ca-")
    os.write(descriptor, text.encode())
    return path
