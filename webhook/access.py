"""Where the API server is and with which credentials: a pod's service account, or a kubeconfig.

Read anew for each connection, since tokens and authorities rotate. Of a kubeconfig, what a webhook
meets is understood: tokens and client certificates, in files or inline. Programs that fetch tokens
(``exec``) are not: outside of a cluster this is for development and tests.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

import yaml

SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_CONTENT: Final = "-data"  # kubeconfig's suffix of what is inline instead of in a file


class AccessError(Exception):
    """Nothing says how to reach the API server, or what does cannot be used."""


class Access(Protocol):
    """One way to the API server. Safe to use from every thread."""

    def connect(self, timeout: float) -> HTTPConnection:
        """A connection that is opened at its first request; ``timeout`` in seconds, for each wait on the network.

        Raises:
            OSError: a file of certificates is missing or unreadable.
        """
        ...

    def token(self) -> str:
        """The bearer token as it is now; empty where a certificate stands for us."""
        ...

    @property
    def prefix(self) -> str:
        """What comes before ``/api`` in every path."""
        ...


def from_environment(env: Mapping[str, str]) -> Access:
    """``KUBECONFIG`` if it is set, else the pod's service account.

    Raises:
        AccessError: neither is there, or the kubeconfig cannot be used.
    """
    if env.get("KUBECONFIG"):
        return Kubeconfig.load(env["KUBECONFIG"].split(os.pathsep)[0])
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise AccessError("no API server is known: this is no pod, and KUBECONFIG names no file")
    return ServiceAccount(host, int(port))


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What kubelet puts into every pod that has a service account."""

    host: str
    port: int
    directory: str = SERVICE_ACCOUNT
    prefix: str = ""

    def connect(self, timeout: float) -> HTTPConnection:
        """See :class:`Access`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(os.path.join(self.directory, "ca.crt"))
        return HTTPSConnection(self.host, self.port, timeout=timeout, context=context)

    def token(self) -> str:
        """See :class:`Access`; kubelet replaces the file about every hour."""
        with open(os.path.join(self.directory, "token"), encoding="ascii") as file:
            return file.read().strip()


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """The current context of a kubeconfig."""

    url: SplitResult
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    directory: str  # relative file names start here

    @staticmethod
    def load(path: str) -> Kubeconfig:
        """The kubeconfig at ``path``.

        Raises:
            AccessError: it cannot be read, is no kubeconfig, or asks for a program to be run.
        """
        try:
            with open(path, encoding="utf-8") as file:
                config = yaml.safe_load(file)
            context = _named(config, "context", config["current-context"])
            cluster = _named(config, "cluster", context["cluster"])
            user = _named(config, "user", context["user"])
            url = urlsplit(cluster["server"])
        except (OSError, yaml.YAMLError, KeyError, TypeError, LookupError, ValueError) as error:
            raise AccessError(f"KUBECONFIG: {path!r} cannot be used: {error}") from error
        if url.scheme not in ("http", "https") or not url.hostname:
            raise AccessError(f"KUBECONFIG: {path!r}: server {cluster['server']!r} is no http or https URL")
        if "exec" in user or "auth-provider" in user:
            raise AccessError(f"KUBECONFIG: {path!r} runs a program for its token; use one with token or certificate")
        return Kubeconfig(url, cluster, user, os.path.dirname(os.path.abspath(path)))

    @property
    def prefix(self) -> str:
        """See :class:`Access`."""
        return self.url.path.rstrip("/")

    def connect(self, timeout: float) -> HTTPConnection:
        """See :class:`Access`."""
        host = self.url.hostname or ""
        if self.url.scheme == "http":
            return HTTPConnection(host, self.url.port or 80, timeout=timeout)
        return HTTPSConnection(host, self.url.port or 443, timeout=timeout, context=self._context())

    def token(self) -> str:
        """See :class:`Access`."""
        return (self._content(self.user, "tokenFile", inline="token") or b"").decode().strip()

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        authority = self._content(self.cluster, "certificate-authority")
        if authority is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=authority.decode())
        certificate = self._content(self.user, "client-certificate")
        if certificate is not None:
            _load_pair(context, certificate + b"\n" + (self._content(self.user, "client-key") or b""))
        return context

    def _content(self, where: Mapping[str, Any], key: str, inline: str = "") -> bytes | None:
        if inline and where.get(inline):
            return str(where[inline]).encode()
        if where.get(key + _CONTENT):
            return base64.b64decode(where[key + _CONTENT])
        if not where.get(key):
            return None
        with open(os.path.join(self.directory, where[key]), "rb") as file:
            return file.read()


def _named(config: Any, kind: str, name: str) -> Any:
    for entry in config[f"{kind}s"]:
        if entry["name"] == name:
            return entry[kind] or {}
    raise LookupError(f"it has no {kind} {name!r}")


def _load_pair(context: ssl.SSLContext, pem: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:  # ssl reads keys from files only; this one is ours alone (0600)
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
