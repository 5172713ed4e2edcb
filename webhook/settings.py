"""``WEBHOOK_*`` variables that only serving needs, and all of them together; frozen.

How an injected pod looks is in ``injection_settings.py``. Reading files and binding ports are the
server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from contract.names import namespace_name, object_name
from contract.quantity import parse_period
from runtime.environment import Environment, choice, level, listen, number
from webhook.injection_settings import InjectionSettings, read_injection

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
CATALOG: Final = "WEBHOOK_CATALOG"
THREADS: Final = "WEBHOOK_THREADS"
LOG_LEVEL: Final = "WEBHOOK_LOG_LEVEL"


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
        environment = Environment(env)
        settings = Settings(
            injection=read_injection(environment),
            **_tls(environment),
            listen=environment.read(LISTEN, "0.0.0.0:10250", listen),
            metrics_listen=environment.read(METRICS_LISTEN, "0.0.0.0:9346", listen),
            threads=environment.read(THREADS, 8, number(1, 256)),
            log_level=environment.read(LOG_LEVEL, "INFO", level),
            catalog=environment.read(CATALOG, "cluster", choice("cluster", "none")),
        )
        environment.finish()
        return settings


def _tls(environment: Environment) -> dict[str, Any]:
    certificate, key = (environment.text(name) for name in (TLS_CERT, TLS_KEY))
    if bool(certificate) != bool(key):
        here, missing = (TLS_CERT, TLS_KEY) if certificate else (TLS_KEY, TLS_CERT)
        environment.fault(f"{missing}: is not set, but {here} is; name a PEM file, or leave both out")
    defaults = SelfCertificates()
    own = SelfCertificates(
        configuration=environment.read(SELF_CONFIGURATION, defaults.configuration, object_name),
        service=environment.read(SELF_SERVICE, defaults.service, object_name),
        secret=environment.read(SELF_SECRET, defaults.secret, object_name),
        namespace=environment.read(SELF_NAMESPACE, defaults.namespace, namespace_name),
        authority_lifetime=environment.read(SELF_AUTHORITY_LIFETIME, defaults.authority_lifetime, _lifetime),
        serving_lifetime=environment.read(SELF_SERVING_LIFETIME, defaults.serving_lifetime, _lifetime),
    )
    if own.serving_lifetime > own.authority_lifetime / 3:
        environment.fault(f"{SELF_SERVING_LIFETIME}: is longer than a third of {SELF_AUTHORITY_LIFETIME}")
    return {"tls_cert": certificate, "tls_key": key, "self_certificates": own}


def _lifetime(text: str) -> timedelta:
    return timedelta(seconds=parse_period(text))
