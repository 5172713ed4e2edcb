"""The keys that requests are signed with: those of the storage, or those of the SDK's default chain.

Part of the S3 adapter. With static keys nothing else is ever asked: no variable, no file, no
metadata service, and botocore is not even imported. Where the storage's keys come from is
``sidecar/mounted.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from contract.storage import Credentials, Storage
from sidecar.errors import AccessDenied
from sidecar.remote.renewing import Held, Renewing

_HINT = "check the pod's service account and its role"


@dataclass(frozen=True, slots=True)
class Keys:
    """One consistent set of keys."""

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


def _chain() -> KeySource:
    # Imported here: its memory is only spent where the chain is asked for. It renews keys when it is asked
    # for them well before they end, and blocks meanwhile.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    session = Session()

    def fetch() -> Held[Keys]:
        try:
            found = session.get_credentials()
            frozen = found.get_frozen_credentials() if found is not None else None
        except (BotoCoreError, ClientError, ResponseParserError) as error:  # the last: a proxy's page, for one
            raise AccessDenied("credentials", "default chain", str(error)[:300], hint=_HINT) from error
        if frozen is None:
            raise AccessDenied("credentials", "default chain", "it has none", hint=_HINT)
        keys = Keys(frozen.access_key or "", frozen.secret_key or "", frozen.token)
        return Held(keys, getattr(found, "refresh_needed", _never))  # keys that end have it

    return Renewing(fetch)


def _never(_seconds: int | None) -> bool:
    return False
