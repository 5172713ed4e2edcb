"""The storage keys: where the bucket is and with which keys it is opened.

Pure: it takes texts by key and returns a :class:`Storage` or names what is missing. Where the
texts come from (files of a projected volume, or variables) is the sidecar's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Final

BUCKET_NAME: Final = "BUCKET_NAME"
BUCKET_HOST: Final = "BUCKET_HOST"
BUCKET_PORT: Final = "BUCKET_PORT"
BUCKET_REGION: Final = "BUCKET_REGION"
BUCKET_SCHEME: Final = "BUCKET_SCHEME"
BUCKET_ADDRESSING: Final = "BUCKET_ADDRESSING"
ACCESS_KEY_ID: Final = "AWS_ACCESS_KEY_ID"
SECRET_ACCESS_KEY: Final = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the key's name, not a secret
SESSION_TOKEN: Final = "AWS_SESSION_TOKEN"  # noqa: S105 - likewise
CA_FILE: Final = "tls.crt"

CONFIG_MAP_KEYS: Final = (BUCKET_NAME, BUCKET_HOST, BUCKET_PORT, BUCKET_REGION, BUCKET_SCHEME, BUCKET_ADDRESSING)
SECRET_KEYS: Final = (ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, CA_FILE)
STORAGE_KEYS: Final = (*CONFIG_MAP_KEYS, *SECRET_KEYS)
# What an administrator may say for all claims: the way to the server, never the bucket or its keys.
OVERRIDABLE_KEYS: Final = (BUCKET_HOST, BUCKET_PORT, BUCKET_SCHEME, BUCKET_REGION, BUCKET_ADDRESSING, CA_FILE)

DEFAULT_REGION: Final = "us-east-1"  # what S3 servers without regions sign with
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_REGION = re.compile(r"[!-.0-~]{1,64}")  # a part of the signature's scope, which "/" divides
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


class Credentials(StrEnum):
    """Whose keys open the bucket."""

    KEYS = "keys"
    CHAIN = "chain"


class StorageError(ValueError):
    """Base of what can be wrong with the storage keys."""


class MissingFields(StorageError):
    """Keys that must be there and are not; ``fields`` names them in the contract's order."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__("missing " + ", ".join(fields))
        self.fields = fields


class InvalidField(StorageError):
    """A key that is there and cannot be used."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key} {why}")
        self.key = key
        self.why = why


@dataclass(frozen=True, slots=True)
class Storage:
    """One bucket and how to reach it. Secrets are kept out of ``repr``."""

    bucket: str
    host: str
    port: int
    scheme: str
    region: str
    virtual_hosted: bool
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    ca_pem: str | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        """The server's URL without a path, the default port of its scheme left out."""
        default = {"https": 443, "http": 80}[self.scheme]
        return f"{self.scheme}://{self.host}" + ("" if self.port == default else f":{self.port}")


def storage_from(texts: Mapping[str, str], credentials: Credentials = Credentials.KEYS) -> Storage:
    """The storage that ``texts`` (storage key → text) describes; surrounding white space is ignored.

    Raises:
        MissingFields: something that is needed is absent or empty.
        InvalidField: a value cannot be used; the message never repeats a secret.
    """
    values = {key: text.strip() for key, text in texts.items() if key in STORAGE_KEYS}
    needed = [BUCKET_NAME, BUCKET_HOST]
    if credentials is Credentials.KEYS:
        needed += [ACCESS_KEY_ID, SECRET_ACCESS_KEY]
    missing = tuple(key for key in needed if not values.get(key))
    if missing:
        raise MissingFields(missing)
    port = _port(values.get(BUCKET_PORT) or "443")
    keys = credentials is Credentials.KEYS
    return Storage(
        bucket=_bucket(values[BUCKET_NAME]),
        host=_host(values[BUCKET_HOST]),
        port=port,
        scheme=_choice(values, BUCKET_SCHEME, ("https", "http"), "http" if port == 80 else "https"),
        region=_region(values.get(BUCKET_REGION) or DEFAULT_REGION),
        virtual_hosted=_choice(values, BUCKET_ADDRESSING, ("path", "virtual"), "path") == "virtual",
        access_key_id=_key(values, ACCESS_KEY_ID) if keys else None,
        secret_access_key=_key(values, SECRET_ACCESS_KEY) if keys else None,
        session_token=_key(values, SESSION_TOKEN) if keys else None,
        ca_pem=_ca(values.get(CA_FILE)),
    )


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise InvalidField(BUCKET_PORT, f"is {text!r}, not a port number")
    return int(text)


def _bucket(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", text):
        raise InvalidField(BUCKET_NAME, f"is {text!r}, which is no bucket name")
    return text


def _host(text: str) -> str:
    if len(text) > 253 or not (_HOST.fullmatch(text) or _is_ipv6(text)):
        raise InvalidField(BUCKET_HOST, f"is {text!r}; a host name or address is needed, without scheme, port or path")
    return text


def _is_ipv6(text: str) -> bool:
    try:
        address = IPv6Address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return text.startswith("[") and text.endswith("]") and address.scope_id is None


def _region(text: str) -> str:
    if _REGION.fullmatch(text) is None:
        raise InvalidField(BUCKET_REGION, f"is {text!r}, which is no region's name")
    return text


def _key(values: Mapping[str, str], key: str) -> str | None:
    text = values.get(key) or None
    # The key's id and the token go into HTTP headers, the secret into a hash of UTF-8.
    if text is not None and not (text.isprintable() and (text.isascii() or key == SECRET_ACCESS_KEY)):
        raise InvalidField(key, "holds characters that no key has, such as a line break")
    return text


def _choice(values: Mapping[str, str], key: str, allowed: tuple[str, str], default: str) -> str:
    value = (values.get(key) or default).lower()
    if value not in allowed:
        raise InvalidField(key, f"is {values[key]!r}, not {' or '.join(allowed)}")
    return value


def _ca(text: str | None) -> str | None:
    if not text:
        return None
    if _CERTIFICATE not in text:
        raise InvalidField(CA_FILE, "holds no PEM certificate")
    return text
