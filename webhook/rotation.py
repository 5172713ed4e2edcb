"""The webhook's certificate when it makes its own: one authority in a Secret, a leaf in memory.

Each replica looks now and then: it moves the authorities on where that is due (whoever comes first; the
Secret's version keeps two from doing it at once), publishes their bundle in the webhook configuration,
and signs a leaf for itself. What becomes of what is decided by ``authority``; serving is ``tls``'s.

Without a webhook configuration nothing is written: nobody would ask us, and after an uninstall a
replica that still runs must not leave a Secret behind.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from runtime.endpoints import Check
from runtime.logs import fields
from webhook.authority import Authorities, AuthorityError, Terms, advance, from_data
from webhook.certificates import CLOCK_SKEW, KeyPair, issue, made, not_after
from webhook.cluster import Cluster, ClusterError, Conflict, NotFound, Resource
from webhook.settings import SelfCertificates

log = logging.getLogger(__name__)

SECRETS: Final = Resource("v1", "secrets")
CONFIGURATIONS: Final = Resource("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations")
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
_EAGER: Final = 1.0  # seconds between looks until all is well


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is served, and the authority that signed it."""

    pair: KeyPair
    signer: bytes


class Rotation:
    """See the module. ``install`` is called with every new leaf."""

    def __init__(
        self,
        cluster: Cluster,
        settings: SelfCertificates,
        install: Callable[[KeyPair], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._terms = Terms(settings.authority_lifetime, settings.serving_lifetime)
        self._install = install
        self._now = now
        self._state: Authorities | None = None
        self._leaf: Leaf | None = None
        self._published = False
        self._hindrance = "the first look has not ended"

    def check(self) -> Check:
        """Ready once the API server was told to trust what is served; ready for good, since that leaf stays."""
        if self._leaf is not None and self._published:
            return Check(True, "ready")
        return Check(False, f"no certificate yet: {self._hindrance}")

    def run(self, stopping: threading.Event) -> None:
        """Look until ``stopping``; whatever goes wrong, the last leaf stays in use and is renewed from memory."""
        while not stopping.is_set():
            calm = False
            try:
                calm = self.step()
            except ClusterError as error:
                self._hinder(str(error))
            except Exception:  # a mistake of ours must not end in an expired certificate that nobody tells of
                log.exception("rotation failed")
            self._renew()
            stopping.wait(self._terms.pause if calm else min(_EAGER, self._terms.pause))

    def step(self) -> bool:
        """One look; whether all is as it should be, so that the next has time.

        The configuration is read before the Secret, and written only if it is still the one that was read:
        a replica with an older Secret in its hands can never take an authority out of the bundle.

        Raises:
            ClusterError: a call failed; what was served is served on.
        """
        configuration = self._configuration()
        if configuration is None:
            return False
        hooks = [hook for hook in configuration.get("webhooks") or [] if self._is_ours(hook)]
        if not hooks:
            self._hinder(f"webhook configuration {self._settings.configuration} has no webhook that leads to us")
            return False
        try:
            self._state = self._authorities(configuration, _bundle(hooks[0]))
            self._publish(configuration, hooks, self._state)
        except Conflict:
            return False  # another replica was faster: what it wrote is what we want
        self._renew()
        self._published = True
        return True

    def _configuration(self) -> dict[str, Any] | None:
        try:
            return self._cluster.get(CONFIGURATIONS, self._settings.configuration)
        except NotFound:
            self._hinder(f"there is no webhook configuration {self._settings.configuration}")
            return None

    def _is_ours(self, hook: dict[str, Any]) -> bool:
        service = (hook.get("clientConfig") or {}).get("service") or {}
        return (service.get("namespace"), service.get("name")) == (self._settings.namespace, self._settings.service)

    def _authorities(self, configuration: dict[str, Any], published: bytes) -> Authorities:
        """What is in the Secret, moved on where that is due."""
        secret = self._secret()
        found = self._read(secret)
        wanted = advance(found, published, self._now(), self._terms)
        if wanted != found:
            self._write(configuration, secret, wanted)
            log.info("authority moved on", **fields(**_told(wanted)))
        return wanted

    def _secret(self) -> dict[str, Any] | None:
        try:
            return self._cluster.get(SECRETS, self._settings.secret, self._settings.namespace)
        except NotFound:
            return None

    def _read(self, secret: dict[str, Any] | None) -> Authorities | None:
        try:
            return from_data((secret or {}).get("data") or {})
        except AuthorityError as error:
            log.error("the authority cannot be read and is made anew", **fields(error=str(error)))
            return None

    def _write(self, configuration: dict[str, Any], secret: dict[str, Any] | None, wanted: Authorities) -> None:
        name, namespace = self._settings.secret, self._settings.namespace
        if secret is None:
            metadata = {"name": name, "ownerReferences": [_owner(configuration)]}
            body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}
            self._cluster.create(SECRETS, {**body, "data": wanted.to_data()}, namespace)
        else:
            self._cluster.replace(SECRETS, name, {**secret, "data": wanted.to_data()}, namespace)

    def _publish(self, configuration: dict[str, Any], hooks: list[dict[str, Any]], state: Authorities) -> None:
        """Write the bundle into each of our webhooks, by its name."""
        bundle = state.bundle()
        if all(_bundle(hook) == bundle for hook in hooks):
            return
        text = base64.b64encode(bundle).decode()
        patch = {
            "metadata": {"resourceVersion": configuration["metadata"]["resourceVersion"]},
            "webhooks": [{"name": hook["name"], "clientConfig": {"caBundle": text}} for hook in hooks],
        }
        name = self._settings.configuration
        self._cluster.patch(CONFIGURATIONS, name, patch, content_type=STRATEGIC_MERGE_PATCH)
        log.info("bundle published", **fields(configuration=name, **_told(state)))

    def _renew(self) -> None:
        """Sign a leaf where one is due, with the authority that was seen last."""
        now = self._now()
        if self._state is None or not self._due(self._state, now):
            return
        pair = issue(self._state.current, self._settings.names, self._terms.serving, now)
        self._install(pair)
        self._leaf = Leaf(pair, self._state.current.certificate_pem)
        log.info("certificate made", **fields(expires=not_after(pair.certificate_pem).isoformat()))

    def _due(self, state: Authorities, now: datetime) -> bool:
        if self._leaf is None:
            return True
        start, end = made(self._leaf.pair.certificate_pem), not_after(self._leaf.pair.certificate_pem)
        if not start - CLOCK_SKEW <= now < end:
            return True  # ended, or the clock was set back: nothing is worse than this
        if self._leaf.signer not in state.bundle():
            return True  # nobody trusts it any more: the configuration was made anew
        stale = now >= start + (end - start) / 2 or self._leaf.signer != state.current.certificate_pem
        return stale and state.may_sign(now, self._terms)

    def _hinder(self, reason: str) -> None:
        if reason != self._hindrance:
            self._hindrance = reason
            log.warning("the certificate is not looked after", **fields(reason=reason))


def _bundle(hook: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode((hook.get("clientConfig") or {}).get("caBundle") or "", validate=True)
    except ValueError:
        return b""


def _owner(configuration: dict[str, Any]) -> dict[str, str]:
    """A Secret that we made goes with the configuration: Helm removes only what it made itself."""
    metadata = configuration["metadata"]
    kind, version = "MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}


def _told(state: Authorities) -> dict[str, object]:
    return {
        "expires": not_after(state.current.certificate_pem).isoformat(),
        "following": state.following is not None,
        "retired": len(state.retired),
    }
