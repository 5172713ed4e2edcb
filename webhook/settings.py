"""``WEBHOOK_*`` variables → frozen settings, with all faults reported together.

:class:`InjectionSettings` is what the pure rooms and the command line need; :class:`Settings` adds
what only serving needs. Reading files and binding ports are the server's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from contract import storage
from contract.names import DEFAULT_ROOT, is_dns_label
from contract.quantity import parse_duration
from contract.storage import Credentials
from runtime import VERSION
from runtime.endpoints import parse_listen
from webhook.pods import is_subdomain

LISTEN: Final = "WEBHOOK_LISTEN"
METRICS_LISTEN: Final = "WEBHOOK_METRICS_LISTEN"
TLS_CERT: Final = "WEBHOOK_TLS_CERT"
TLS_KEY: Final = "WEBHOOK_TLS_KEY"
SELF_CONFIGURATION: Final = "WEBHOOK_SELF_CONFIGURATION"
SELF_SERVICE: Final = "WEBHOOK_SELF_SERVICE"
SELF_SECRET: Final = "WEBHOOK_SELF_SECRET"  # noqa: S105 - a variable's name
SELF_NAMESPACE: Final = "WEBHOOK_SELF_NAMESPACE"
SELF_AUTHORITY_LIFETIME: Final = "WEBHOOK_SELF_AUTHORITY_LIFETIME"
SELF_SERVING_LIFETIME: Final = "WEBHOOK_SELF_SERVING_LIFETIME"
SIDECAR_IMAGE: Final = "WEBHOOK_SIDECAR_IMAGE"
CATALOG: Final = "WEBHOOK_CATALOG"
THREADS: Final = "WEBHOOK_THREADS"
LOG_LEVEL: Final = "WEBHOOK_LOG_LEVEL"
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


class SettingsError(ValueError):
    """Variables that cannot be used; ``faults`` has one sentence for each, naming the variable."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


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
        reader = _Reader(env)
        settings = _injection(reader)
        reader.finish()
        return settings


@dataclass(frozen=True, slots=True)
class SelfCertificates:
    """How the webhook makes its own certificates: for whom, kept where, told to whom."""

    configuration: str = "data-sync"  # MutatingWebhookConfiguration that gets the bundle
    service: str = "data-sync-webhook"  # by whose name the API server calls us
    secret: str = "data-sync-webhook-ca"  # noqa: S105 - the name of what keeps the authority
    namespace: str = "data-sync"  # of service and Secret
    authority_lifetime: timedelta = timedelta(days=365)
    serving_lifetime: timedelta = timedelta(hours=24)

    @property
    def names(self) -> tuple[str, ...]:
        """What the serving certificate is for; the API server uses the first."""
        host = f"{self.service}.{self.namespace}.svc"
        return (host, f"{host}.cluster.local", f"{self.service}.{self.namespace}", self.service)


@dataclass(frozen=True, slots=True)
class Settings:
    """All that ``python -m webhook`` is started with."""

    injection: InjectionSettings
    tls_cert: str = ""  # PEM files, read again when they change; empty: the webhook makes its own
    tls_key: str = ""
    listen: str = "0.0.0.0:10250"
    metrics_listen: str = "0.0.0.0:9346"
    threads: int = 8  # requests answered at once; more only helps with slow clients
    log_level: str = "INFO"
    catalog: str = "cluster"  # or none: decide from pods alone
    self_certificates: SelfCertificates = field(default_factory=SelfCertificates)

    @staticmethod
    def from_env(env: Mapping[str, str]) -> Settings:
        """The settings in ``env``.

        Raises:
            SettingsError: naming every variable that is missing or cannot be used.
        """
        reader = _Reader(env)
        settings = Settings(
            injection=_injection(reader),
            **_tls(reader),
            listen=reader.read(LISTEN, "0.0.0.0:10250", _listen),
            metrics_listen=reader.read(METRICS_LISTEN, "0.0.0.0:9346", _listen),
            threads=int(reader.read(THREADS, "8", _threads)),
            log_level=reader.read(LOG_LEVEL, "INFO", _log_level),
            catalog=reader.read(CATALOG, "cluster", _catalog),
        )
        reader.finish()
        return settings


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._faults: list[str] = []

    def read(self, name: str, default: str, check: Callable[[str], str | None]) -> str:
        text = self._env.get(name, "").strip() or default
        fault = check(text)
        if fault is None:
            return text
        self._faults.append(f"{name}: {fault}")
        return default

    def fault(self, sentence: str) -> None:
        self._faults.append(sentence)

    def finish(self) -> None:
        if self._faults:
            raise SettingsError(self._faults)


def _injection(reader: _Reader) -> InjectionSettings:
    layout = reader.read(EXPORT_LAYOUT, "namespaced", _layout)
    namespace = reader.read(EXPORT_FLOTTA_NAMESPACE, "", _namespace)
    if layout == "flotta" and not namespace:
        reader.fault(f"{EXPORT_LAYOUT}: 'flotta' needs {EXPORT_FLOTTA_NAMESPACE}, the one namespace it is for")
    return InjectionSettings(
        sidecar_image=reader.read(SIDECAR_IMAGE, DEFAULT_SIDECAR_IMAGE, _image),
        export_root=posixpath.normpath(reader.read(EXPORT_ROOT, DEFAULT_ROOT, _root)),
        flotta_namespace=namespace if layout == "flotta" else "",
        cpu_request=reader.read(CPU_REQUEST, "10m", _quantity),
        memory_request=reader.read(MEMORY_REQUEST, "64Mi", _quantity),
        memory_limit=reader.read(MEMORY_LIMIT, "256Mi", _quantity),
        allow_node_role=reader.read(ALLOW_NODE_ROLE, "false", _boolean) == "true",
        **_default_storage(reader),
        claim_overrides=tuple(sorted(_claim_overrides(reader).items())),
        scc=reader.read(SCC, "", _resource),
        scc_accounts=frozenset(reader.read(SCC_ACCOUNTS, "", _accounts).replace(",", " ").split()),
    )


def _claim_overrides(reader: _Reader) -> dict[str, str]:
    endpoint = reader.read(CLAIM_ENDPOINT, "", _endpoint)
    texts = {
        storage.BUCKET_REGION: reader.read(CLAIM_REGION, "", _anything),
        storage.BUCKET_ADDRESSING: reader.read(CLAIM_ADDRESSING, "", _addressing),
        storage.CA_FILE: reader.read(CLAIM_CA, "", _certificates),
    }
    if endpoint:
        url = urlsplit(endpoint)
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
        port = url.port or (80 if url.scheme == "http" else 443)
        texts |= {storage.BUCKET_HOST: host, storage.BUCKET_PORT: str(port), storage.BUCKET_SCHEME: url.scheme}
    return {key: text for key, text in texts.items() if text}


def _default_storage(reader: _Reader) -> dict[str, Any]:
    config_map = reader.read(DEFAULT_CONFIG_MAP, "", _resource)
    secret = reader.read(DEFAULT_SECRET, "", _resource)
    credentials = Credentials(reader.read(DEFAULT_CREDENTIALS, Credentials.KEYS, _credentials))
    if config_map and not secret and credentials is Credentials.KEYS:
        reader.fault(f"{DEFAULT_CONFIG_MAP}: it needs {DEFAULT_SECRET}, or {DEFAULT_CREDENTIALS}=chain")
    if secret and not config_map:
        reader.fault(f"{DEFAULT_SECRET}: it needs {DEFAULT_CONFIG_MAP}, which says where the bucket is")
    return {"default_config_map": config_map, "default_secret": secret, "default_credentials": credentials}


def _tls(reader: _Reader) -> dict[str, Any]:
    certificate, key = (reader.read(name, "", lambda _text: None) for name in (TLS_CERT, TLS_KEY))
    if bool(certificate) != bool(key):
        here, missing = (TLS_CERT, TLS_KEY) if certificate else (TLS_KEY, TLS_CERT)
        reader.fault(f"{missing}: is not set, but {here} is; name a PEM file, or leave both out")
    defaults = SelfCertificates()
    own = SelfCertificates(
        configuration=reader.read(SELF_CONFIGURATION, defaults.configuration, _resource),
        service=reader.read(SELF_SERVICE, defaults.service, _resource),
        secret=reader.read(SELF_SECRET, defaults.secret, _resource),
        namespace=reader.read(SELF_NAMESPACE, defaults.namespace, _namespace),
        authority_lifetime=_lifetime(reader, SELF_AUTHORITY_LIFETIME, "8760h"),
        serving_lifetime=_lifetime(reader, SELF_SERVING_LIFETIME, "24h"),
    )
    if own.serving_lifetime > own.authority_lifetime / 3:
        reader.fault(f"{SELF_SERVING_LIFETIME}: is longer than a third of {SELF_AUTHORITY_LIFETIME}")
    return {"tls_cert": certificate, "tls_key": key, "self_certificates": own}


def _lifetime(reader: _Reader, name: str, default: str) -> timedelta:
    return timedelta(seconds=parse_duration(reader.read(name, default, _duration)))


def _catalog(text: str) -> str | None:
    return None if text in ("cluster", "none") else f"{text!r} is neither 'cluster' nor 'none'"


def _accounts(text: str) -> str | None:
    odd = [
        one for one in text.replace(",", " ").split() if not all(map(is_subdomain, one.split("/"))) or "/" not in one
    ]
    return f"{odd[0]!r} is no <namespace>/<service account>" if odd else None


def _anything(_text: str) -> None:
    return None


def _endpoint(text: str) -> str | None:
    if not text:
        return None
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and url.hostname and url.path in ("", "/") and url.port != 0
    except ValueError:
        usable = False
    beside = usable and (url.query or url.fragment or url.username)
    return None if usable and not beside else f"{text!r} is no endpoint such as https://s3.example.org:9000"


def _addressing(text: str) -> str | None:
    return None if text in ("", "path", "virtual") else f"{text!r} is neither 'path' nor 'virtual'"


def _certificates(text: str) -> str | None:
    return None if not text or "-----BEGIN CERTIFICATE-----" in text else "holds no PEM certificate"


def _resource(text: str) -> str | None:
    return None if not text or is_subdomain(text) else f"{text!r} is no resource's name"


def _boolean(text: str) -> str | None:
    return None if text in ("true", "false") else f"{text!r} is neither 'true' nor 'false'"


def _credentials(text: str) -> str | None:
    return None if text in list(Credentials) else f"{text!r} is neither 'keys' nor 'chain'"


def _duration(text: str) -> str | None:
    try:
        return None if parse_duration(text) >= 1 else f"{text!r} is shorter than 1s"
    except ValueError as error:
        return str(error)


def _listen(text: str) -> str | None:
    try:
        parse_listen(text)
    except ValueError as error:
        return str(error)
    return None


def _threads(text: str) -> str | None:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 256:
        return None
    return f"{text!r} is no number from 1 to 256"


def _log_level(text: str) -> str | None:
    known = ("DEBUG", "INFO", "WARNING", "ERROR")
    return None if text.upper() in known else f"{text!r} is none of {', '.join(known)}"


def _layout(text: str) -> str | None:
    return None if text in ("namespaced", "flotta") else f"{text!r} is neither 'namespaced' nor 'flotta'"


def _namespace(text: str) -> str | None:
    return None if not text or is_dns_label(text) else f"{text!r} is no namespace's name"


def _image(text: str) -> str | None:
    return f"{text!r} is no image's name" if re.search(r"\s", text) else None


def _root(text: str) -> str | None:
    if not text.startswith("/") or posixpath.normpath(text) == "/" or ".." in text.split("/"):
        return f"{text!r} is no absolute directory below /"
    return None


def _quantity(text: str) -> str | None:
    return None if _QUANTITY.fullmatch(text) else f"{text!r} is no quantity such as 10m or 64Mi"
