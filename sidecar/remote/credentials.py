"""The keys that requests are signed with: those of the storage, or those of boto3's default chain.

Part of the S3 adapter. With static keys nothing else is ever asked: no variable, no file, no
metadata service. Where the storage's keys come from is ``sidecar/settings.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from contract.storage import Credentials, Storage
from sidecar.errors import AccessDenied

if TYPE_CHECKING:
    from obstore.store import S3Credential

# botocore renews keys well before they end; asking it again this often always finds good ones.
_CHAIN_LIFETIME: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Keys:
    """One consistent set of keys, with the attribute names that botocore's signer reads."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


KeySource = Callable[[], Keys]


def key_source(storage: Storage, credentials: Credentials) -> KeySource:
    """Where the keys for ``storage`` come from; call it for every use, since a chain's keys change.

    The source raises :class:`AccessDenied` where the chain has no keys.
    """
    if credentials is Credentials.CHAIN:
        return _chain()
    keys = Keys(storage.access_key_id or "", storage.secret_access_key or "", storage.session_token)
    return lambda: keys


def obstore_provider(source: KeySource, credentials: Credentials) -> Callable[[], S3Credential]:
    """``source`` as obstore asks for it.

    Static keys too are handed over this way: given as options, obstore would put a session token
    from the environment beside them.
    """

    def provide() -> S3Credential:
        keys = source()
        fixed = credentials is Credentials.KEYS
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": None if fixed else datetime.now(UTC) + _CHAIN_LIFETIME,
        }

    return provide


def _chain() -> KeySource:
    import boto3  # noqa: PLC0415 - its memory is only spent where the chain is asked for

    session = boto3.Session()

    def source() -> Keys:
        found = session.get_credentials()
        if found is None:
            raise AccessDenied("credentials", "default chain", "it has none", hint="check the pod's service account")
        frozen = found.get_frozen_credentials()
        return Keys(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    return source
