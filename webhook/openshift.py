"""OpenShift's SecurityContextConstraints: what can be said of them before they decide. Pure.

Whether a pod's service account may use one is a question of RBAC that only the API server answers, when the
pod comes to it after us. Known here is whether SCCs rule at all, which one was shipped for injected pods,
and for which service accounts the chart granted it.
"""

from __future__ import annotations

from webhook import pods
from webhook.annotations import Volume, VolumeKind
from webhook.injection_settings import SCC, InjectionSettings
from webhook.pods import Json


def look(pod: Json, namespace: str, volume: Volume, sccs: bool, settings: InjectionSettings) -> dict[str, str]:
    """``scc_fault`` or ``scc_warning`` where there is something to say.

    A pod that needs no more than any may do (no hostPath, a user of its own) is no matter here.
    """
    if not sccs or not _needs_more(pod, volume):
        return {}
    if not settings.scc:
        return {
            "scc_fault": f"OpenShift lets no such pod in without SecurityContextConstraints made for it, and {SCC} "
            "names none: install the chart with openshift.scc.create, or use volume: emptyDir and "
            "securityContext.runAsUser"
        }
    account = f"{namespace}/{pods.spec(pod).get('serviceAccountName') or 'default'}"
    if account in settings.scc_accounts:
        return {}
    return {
        "scc_warning": f"OpenShift lets the pod in only if service account {account} may use "
        f"SecurityContextConstraints {settings.scc} (chart value openshift.scc.serviceAccounts)"
    }


def _needs_more(pod: Json, volume: Volume) -> bool:
    return volume.kind is VolumeKind.HOST_PATH or not pods.security_context(pod).get("runAsUser")
