"""``WEBHOOK_*`` variables that decide how an injected pod looks, beside the pod; frozen.

The pure rooms and the command line need these alone. What only serving needs is in ``settings.py``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from contract import storage
from contract.names import DEFAULT_ROOT, image_name, is_subdomain, namespace_name, object_name
from contract.storage import Credentials
from runtime import VERSION
from runtime.environment import Environment, boolean, choice

SIDECAR_IMAGE: Final = "WEBHOOK_SIDECAR_IMAGE"
EXPORT_ROOT: Final = "WEBHOOK_EXPORT_ROOT"
EXPORT_LAYOUT: Final = "WEBHOOK_EXPORT_LAYOUT"
EXPORT_FLOTTA_NAMESPACE: Final = "WEBHOOK_EXPORT_FLOTTA_NAMESPACE"
CPU_REQUEST: Final = "WEBHOOK_SIDECAR_CPU_REQUEST"
MEMORY_REQUEST: Final = "WEBHOOK_SIDECAR_MEMORY_REQUEST"
MEMORY_LIMIT: Final = "WEBHOOK_SIDECAR_MEMORY_LIMIT"
ALLOW_NODE_ROLE: Final = "WEBHOOK_ALLOW_NODE_ROLE"
DEFAULT_CONFIG_MAP: Final = "WEBHOOK_DEFAULT_S3_CONFIG_MAP"
DEFAULT_SECRET: Final = "WEBHOOK_DEFAULT_S3_SECRET"  # noqa: S105 - a variable's name
DEFAULT_CREDENTIALS: Final = "WEBHOOK_DEFAULT_S3_CREDENTIALS"
CLAIM_ENDPOINT: Final = "WEBHOOK_CLAIM_ENDPOINT"
CLAIM_REGION: Final = "WEBHOOK_CLAIM_REGION"
CLAIM_ADDRESSING: Final = "WEBHOOK_CLAIM_ADDRESSING"
CLAIM_CA: Final = "WEBHOOK_CLAIM_CA"
SCC: Final = "WEBHOOK_SCC"
SCC_ACCOUNTS: Final = "WEBHOOK_SCC_ACCOUNTS"

DEFAULT_SIDECAR_IMAGE: Final = f"flotta-data-sync-sidecar:{VERSION}"
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?")


@dataclass(frozen=True, slots=True)
class InjectionSettings:
    """What decides how an injected pod looks, beside the pod."""

    sidecar_image: str = DEFAULT_SIDECAR_IMAGE
    export_root: str = DEFAULT_ROOT  # directory on the node; below it <namespace>/<workload>
    flotta_namespace: str = ""  # the one namespace whose directories have no namespace level
    cpu_request: str = "10m"  # Kubernetes quantities, of the sidecar and of its init container
    memory_request: str = "64Mi"
    memory_limit: str = "256Mi"
    # Storage of pods that name none and have no device, looked up in the pod's own namespace; empty: there is none.
    default_config_map: str = ""
    default_secret: str = ""
    default_credentials: Credentials = Credentials.KEYS
    claim_overrides: tuple[tuple[str, str], ...] = ()  # storage keys that are the same for every claim
    allow_node_role: bool = False  # whether credentials of a chain may be the node's own
    scc: str = ""  # SecurityContextConstraints, on OpenShift, that injected pods may use; empty: there are none
    scc_accounts: frozenset[str] = frozenset()  # namespace/name of service accounts known to have them

    @staticmethod
    def from_env(env: Mapping[str, str]) -> InjectionSettings:
        """The settings in ``env``; an absent or empty variable means its default.

        Raises:
            SettingsError: naming every variable that cannot be used.
        """
        environment = Environment(env)
        settings = read_injection(environment)
        environment.finish()
        return settings


def read_injection(environment: Environment) -> InjectionSettings:
    """The settings in ``environment``, which is told the faults."""
    layout = environment.read(EXPORT_LAYOUT, "namespaced", choice("namespaced", "flotta"))
    namespace = environment.read(EXPORT_FLOTTA_NAMESPACE, "", namespace_name)
    if layout == "flotta" and not namespace:
        environment.fault(f"{EXPORT_LAYOUT}: 'flotta' needs {EXPORT_FLOTTA_NAMESPACE}, the one namespace it is for")
    return InjectionSettings(
        sidecar_image=environment.read(SIDECAR_IMAGE, DEFAULT_SIDECAR_IMAGE, image_name),
        export_root=environment.read(EXPORT_ROOT, DEFAULT_ROOT, _root),
        flotta_namespace=namespace if layout == "flotta" else "",
        cpu_request=environment.read(CPU_REQUEST, "10m", _quantity),
        memory_request=environment.read(MEMORY_REQUEST, "64Mi", _quantity),
        memory_limit=environment.read(MEMORY_LIMIT, "256Mi", _quantity),
        allow_node_role=environment.read(ALLOW_NODE_ROLE, False, boolean),
        **_default_storage(environment),
        claim_overrides=tuple(sorted(_claim_overrides(environment).items())),
        scc=environment.read(SCC, "", object_name),
        scc_accounts=environment.read(SCC_ACCOUNTS, frozenset(), _accounts),
    )


def _claim_overrides(environment: Environment) -> dict[str, str]:
    url = environment.read(CLAIM_ENDPOINT, None, _endpoint)
    texts = {
        storage.BUCKET_REGION: environment.text(CLAIM_REGION),
        storage.BUCKET_ADDRESSING: environment.read(CLAIM_ADDRESSING, "", choice("path", "virtual")),
        storage.CA_FILE: environment.read(CLAIM_CA, "", _certificates),
    }
    if url:
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
        port = url.port or (80 if url.scheme == "http" else 443)
        texts |= {storage.BUCKET_HOST: host, storage.BUCKET_PORT: str(port), storage.BUCKET_SCHEME: url.scheme}
    return {key: text for key, text in texts.items() if text}


def _default_storage(environment: Environment) -> dict[str, Any]:
    config_map = environment.read(DEFAULT_CONFIG_MAP, "", object_name)
    secret = environment.read(DEFAULT_SECRET, "", object_name)
    credentials = environment.read(DEFAULT_CREDENTIALS, Credentials.KEYS, _credentials)
    if config_map and not secret and credentials is Credentials.KEYS:
        environment.fault(f"{DEFAULT_CONFIG_MAP}: it needs {DEFAULT_SECRET}, or {DEFAULT_CREDENTIALS}=chain")
    if secret and not config_map:
        environment.fault(f"{DEFAULT_SECRET}: it needs {DEFAULT_CONFIG_MAP}, which says where the bucket is")
    return {"default_config_map": config_map, "default_secret": secret, "default_credentials": credentials}


def _endpoint(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and url.hostname and url.path in ("", "/") and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.query or url.fragment or url.username:
        raise ValueError(f"{text!r} is no endpoint such as https://s3.example.org:9000")
    return url


def _certificates(text: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ValueError("holds no PEM certificate")
    return text


def _accounts(text: str) -> frozenset[str]:
    accounts = text.replace(",", " ").split()
    for account in accounts:
        if "/" not in account or not all(map(is_subdomain, account.split("/"))):
            raise ValueError(f"{account!r} is no <namespace>/<service account>")
    return frozenset(accounts)


def _credentials(text: str) -> Credentials:
    return Credentials(choice(*Credentials)(text))


def _root(text: str) -> str:
    if not text.startswith("/") or posixpath.normpath(text) == "/" or ".." in text.split("/"):
        raise ValueError(f"{text!r} is no absolute directory below /")
    return posixpath.normpath(text)


def _quantity(text: str) -> str:
    if not _QUANTITY.fullmatch(text):
        raise ValueError(f"{text!r} is no quantity such as 10m or 64Mi")
    return text
