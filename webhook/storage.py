"""Which resources hold a pod's storage keys: annotations, its device, the namespace's default, the chart's. Pure.

Names only: whether the resources are there, and complete, the sidecar finds out, and goes on finding out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contract import names
from contract.names import is_subdomain
from contract.storage import Credentials
from webhook.annotations import Options
from webhook.catalog import NamespaceFacts
from webhook.devices import Device
from webhook.injection_settings import InjectionSettings


@dataclass(frozen=True, slots=True)
class StorageNames:
    """The resources, all in the pod's own namespace, and which rule named them.

    ``fault`` is a sentence about what names them and cannot be used.
    """

    claim: str = ""
    config_map: str = ""
    secret: str = ""
    credentials: Credentials = Credentials.KEYS
    rule: str = "none"
    fault: str = ""

    @property
    def known(self) -> bool:
        """Whether bucket and keys have a place to come from."""
        if self.claim:
            return True
        return bool(self.config_map and (self.secret or self.credentials is Credentials.CHAIN))


def find(options: Options, device: Device, namespace: NamespaceFacts, settings: InjectionSettings) -> StorageNames:
    """The storage of a pod, by the first rule that names any.

    A device that was meant and cannot be used ends the search: its pods' files must not go elsewhere.
    """
    wanted = options.credentials or Credentials.KEYS
    if options.config_map or options.secret:
        return StorageNames("", options.config_map, options.secret, wanted, "annotation")
    if device.fault:
        return StorageNames(fault=device.fault)
    facts = device.facts
    if facts is not None and (facts.claims or facts.config_map):
        claim = facts.name if facts.claims else ""
        return StorageNames(claim, facts.config_map, facts.secret, wanted, "device")
    return _of_namespace(options, namespace.annotations) or _of_chart(options, settings) or StorageNames()


def _of_namespace(options: Options, annotations: Mapping[str, str]) -> StorageNames | None:
    config_map, secret = annotations.get(names.S3_CONFIG_MAP, ""), annotations.get(names.S3_SECRET, "")
    if not config_map and not secret:
        return None
    said = annotations.get(names.S3_CREDENTIALS) or Credentials.KEYS.value
    if said not in list(Credentials):
        return StorageNames(fault=f"the namespace's annotation {names.S3_CREDENTIALS} is {said!r}, not keys or chain")
    found = StorageNames("", config_map, secret, options.credentials or Credentials(said), "namespace")
    if not all(is_subdomain(name) for name in (config_map, secret) if name) or not found.known:
        return StorageNames(fault=f"the namespace's annotations {names.S3_CONFIG_MAP} and {names.S3_SECRET} name none")
    return found


def _of_chart(options: Options, settings: InjectionSettings) -> StorageNames | None:
    if not settings.default_config_map:
        return None
    credentials = options.credentials or settings.default_credentials
    return StorageNames("", settings.default_config_map, settings.default_secret, credentials, "default")
