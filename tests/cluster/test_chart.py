"""The chart on a real API server: installed, looked after by the webhook's own account, upgraded, guarded, gone.

No node is needed. The webhook's pods stay pending, also where a node has our images: one that answers would
refuse the pods that are made up here. The release is confined to namespaces of its own by a match
condition, and CRDs are left to whoever has them there.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from release.helm import CHART, Helm, HelmError, kubectl
from tests.chart.rendered import helm_of, missing
from webhook.access import Kubeconfig
from webhook.certificates import certificates
from webhook.cluster import Cluster, ClusterError, Forbidden, Refused
from webhook.rotation import SECRETS, Rotation
from webhook.settings import SelfCertificates

BOUND = 60.0  # seconds
INJECT = "data-sync.project-flotta.io/inject"
NOWHERE = {"data-sync-test": "nowhere"}  # labels of a node that is not there
# What a release may make; an uninstall must take all of it away.
KINDS = (
    "mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,"
    "clusterroles,clusterrolebindings,priorityclasses"
)
NAMESPACED = "secrets,deployments,services,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,jobs"


class Release:
    """One release, by helm and kubectl as a person would."""

    def __init__(self, helm: Helm, kubeconfig: str) -> None:
        self.helm = helm
        self.kubeconfig = kubeconfig
        self.name = f"data-sync-{secrets.token_hex(3)}"
        self.namespace = f"data-sync-test-{secrets.token_hex(4)}"
        self.before: set[str] = set()

    def run(self, *arguments: str, given: Any = None, user: str = "") -> subprocess.CompletedProcess[str]:
        program = kubectl()
        if program is None:
            missing("kubectl")
        command = [str(program), "--kubeconfig", self.kubeconfig, *arguments]
        command += [f"--as=system:serviceaccount:{self.namespace}:{self.name}-{user}"] if user else []
        text = json.dumps(given) if given is not None else None
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=120)

    def get(self, *arguments: str) -> Any:
        done = self.run("get", *arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def apply(self, given: Any, user: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("create", "-n", self.namespace, "-f", "-", given=given, user=user)

    def upgrade(self, *settings: str, install: bool = False) -> None:
        condition = f"request.namespace == '{self.namespace}'"
        values = {
            "crds": {"enabled": False},
            "webhook": {"matchConditions": [{"name": "own", "expression": condition}], "nodeSelector": NOWHERE},
            # Its job is waited for, and without a node no job ever runs.
            "uninstall": {"letGo": bool(self.get("nodes")["items"])},
        }
        command = ["install" if install else "upgrade", self.name, str(CHART), "--namespace", self.namespace]
        command += ["--kubeconfig", self.kubeconfig, "--values", "-"]
        command += [part for setting in settings for part in ("--set", setting)]
        self.helm.run(*command, stdin=json.dumps(values))

    def uninstall(self) -> None:
        self.helm.run("uninstall", self.name, "--namespace", self.namespace, "--kubeconfig", self.kubeconfig)

    def there(self) -> set[str]:
        """Names of all that this release could have left, wherever it is."""
        listed = self.run("get", KINDS, "-o", "name").stdout.split()
        listed += self.run("get", NAMESPACED, "-n", self.namespace, "-o", "name").stdout.split()
        return {name for name in listed if self.name in name}

    def access(self, user: str, directory: Path) -> Cluster:
        """The webhook's own client, with the token and so the rights of an account of the release."""
        token = self.run("create", "token", f"{self.name}-{user}", "-n", self.namespace).stdout.strip()
        config = json.loads(self.run("config", "view", "--raw", "--flatten", "--minify", "-o", "json").stdout)
        config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
        path = directory / f"{user}.kubeconfig"
        path.write_text(json.dumps(config))
        return Cluster(Kubeconfig.load(str(path)))

    def certificates(self) -> SelfCertificates:
        webhook = f"{self.name}-webhook"
        return SelfCertificates(self.name, webhook, f"{webhook}-ca", self.namespace)

    def bundles(self) -> list[str]:
        hooks = self.get("mutatingwebhookconfiguration", self.name)["webhooks"]
        return [hook["clientConfig"].get("caBundle", "") for hook in hooks]


def until(true: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + BOUND
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.fixture(scope="module", params=["v3", "v4"])
def release(request: pytest.FixtureRequest, admin_kubeconfig: str) -> Iterator[Release]:
    release = Release(helm_of(request.param), admin_kubeconfig)
    if release.get("mutatingwebhookconfigurations", "-l", "app.kubernetes.io/part-of=flotta-data-sync")["items"]:
        pytest.skip("another release is installed here, and would answer for this test's pods")
    release.run("create", "namespace", release.namespace)
    release.before = release.there()
    settings = ("policies.injection=Deny", "policies.hostPath=Deny", "policies.template=Warn")
    release.upgrade(*settings, install=True)
    yield release
    with suppress(HelmError):  # gone already, by the last test
        release.uninstall()
    release.run("delete", "namespace", release.namespace, "--wait=false")
    release.run("delete", "mutatingwebhookconfiguration", release.name, "--ignore-not-found")


def step(rotation: Rotation) -> bool:
    try:
        return rotation.step()
    except Forbidden:  # the authorizer has not seen the role yet
        return False


def test_the_webhooks_account_fills_secret_and_bundle(release: Release, tmp_path: Path) -> None:
    assert set(release.bundles()) == {""}
    rotation = Rotation(release.access("webhook", tmp_path), release.certificates(), lambda _pair: None)
    until(lambda: step(rotation), "the webhook may make its certificates")
    (bundle,) = set(release.bundles())
    secret = release.get("secret", f"{release.name}-webhook-ca", "-n", release.namespace)
    assert secret["data"]["ca.crt"] == bundle


def test_an_upgrade_leaves_secret_and_bundle_alone(release: Release) -> None:
    secret = ("secret", f"{release.name}-webhook-ca", "-n", release.namespace)
    before, bundles = release.get(*secret)["data"], release.bundles()
    release.upgrade(
        "webhook.replicas=3",
        "webhook.timeoutSeconds=7",
        "policies.injection=Deny",
        "policies.hostPath=Deny",
        "policies.template=Warn",
    )
    assert release.get(*secret)["data"] == before
    assert release.bundles() == bundles
    hooks = release.get("mutatingwebhookconfiguration", release.name)["webhooks"]
    assert {hook["timeoutSeconds"] for hook in hooks} == {7}


def test_a_deleted_secret_is_made_again(release: Release, tmp_path: Path) -> None:
    rotation = Rotation(release.access("webhook", tmp_path), release.certificates(), lambda _pair: None)
    release.run("delete", "secret", f"{release.name}-webhook-ca", "-n", release.namespace)
    until(lambda: step(rotation), "it is made again")
    assert release.get("secret", f"{release.name}-webhook-ca", "-n", release.namespace)["data"]["ca.key"]
    assert len(certificates(base64.b64decode(release.bundles()[0]))) == 2


def test_the_webhooks_account_reads_and_writes_no_other_secret(release: Release, tmp_path: Path) -> None:
    cluster = release.access("webhook", tmp_path)
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}, "type": "Opaque"}
    with pytest.raises(ClusterError) as refused:
        until(lambda: cluster.create(SECRETS, body, release.namespace) and False, "the policy is in force")
    assert isinstance(refused.value, Refused | Forbidden)
    release.apply({**body, "metadata": {"name": "theirs"}})
    with pytest.raises(Forbidden):
        cluster.get(SECRETS, "theirs", release.namespace)
    with pytest.raises(Forbidden):
        list(cluster.list(SECRETS, release.namespace))
    release.run("delete", "secret", "theirs", "other", "-n", release.namespace, "--ignore-not-found")


def pod(name: str, labels: dict[str, str], **spec: Any) -> Any:
    containers = [{"name": "app", "image": "app"}]
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}


def refused(release: Release, given: Any, words: str, user: str = "") -> None:
    """Wait until the policy is in force: the API server learns of it a moment after it was made."""

    def denied() -> bool:
        done = release.apply(given, user)
        if done.returncode == 0:
            release.run("delete", "-n", release.namespace, "-f", "-", "--wait=false", given=given)
        return done.returncode != 0 and words in done.stderr

    until(denied, f"refused with {words!r}")


def test_a_labelled_pod_that_slipped_through_is_refused(release: Release) -> None:
    refused(release, pod("bare", {INJECT: "enabled"}), "has no sidecar")


def test_pods_that_are_none_of_its_business_pass_at_once(release: Release) -> None:
    sidecar = {"name": "data-sync", "image": "s", "restartPolicy": "Always"}
    for given in (
        pod("quiet", {}),
        pod("declined", {INJECT: "disabled"}),
        pod("injected", {INJECT: "enabled"}, initContainers=[sidecar]),
        pod("ours", {INJECT: "enabled", "app.kubernetes.io/part-of": "flotta-data-sync"}),
    ):
        done = release.apply(given)
        assert done.returncode == 0, done.stderr
        release.run("delete", "pod", given["metadata"]["name"], "-n", release.namespace, "--grace-period=0", "--force")


def test_a_host_path_outside_the_root_is_refused(release: Release) -> None:
    sidecar = {"name": "data-sync", "image": "s", "restartPolicy": "Always"}

    def with_path(name: str, path: str) -> Any:
        volumes = [{"name": "export-app", "hostPath": {"path": path}}]
        return pod(name, {INJECT: "enabled"}, initContainers=[sidecar], volumes=volumes)

    root = f"/var/local/yggdrasil/device/volumes/{release.namespace}"
    refused(release, with_path("outside", "/etc"), "must lie below")
    refused(release, with_path("another", f"{root}-2/app"), "must lie below")
    refused(release, with_path("climbs", f"{root}/../x"), "must")  # kubernetes' own rule may speak first
    done = release.apply(with_path("inside", f"{root}/app"))
    assert done.returncode == 0, done.stderr
    release.run("delete", "pod", "inside", "-n", release.namespace, "--grace-period=0", "--force")


def test_a_label_on_the_deployment_instead_of_its_template_is_warned_of(release: Release) -> None:
    labels = {"app": "x"}
    given = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "wrong", "labels": {INJECT: "enabled"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app"}]}},
        },
    }

    def warned() -> bool:
        done = release.apply(given)
        assert done.returncode == 0, done.stderr
        release.run("delete", "deployment", "wrong", "-n", release.namespace)
        return "where it does nothing" in done.stderr

    until(warned, "a warning")


def test_the_controllers_account_changes_our_own_keys_and_nothing_else(release: Release) -> None:
    """The role is widened for the test: what is refused is refused by the policy."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "wide"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]}],
    }
    subject = {"kind": "ServiceAccount", "name": f"{release.name}-controller", "namespace": release.namespace}
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "wide"},
        "subjects": [subject],
    }
    del binding["rules"]
    release.apply(role)
    release.apply(binding)
    release.apply(pod("patched", {"app": "x"}))

    def patch(body: Any) -> subprocess.CompletedProcess[str]:
        command = ("patch", "pod", "patched", "-n", release.namespace, "--type=strategic", "-p", json.dumps(body))
        return release.run(*command, user="controller")

    ours = {"metadata": {"annotations": {"data-sync.project-flotta.io/mappings": "{}"}}}
    until(lambda: patch(ours).returncode == 0, "our annotation may be written")
    label = {"metadata": {"labels": {"app": "z"}}}
    until(lambda: patch(label).returncode != 0, "the policy is in force")
    for body, words in (
        ({"metadata": {"annotations": {"theirs": "x"}}}, "our own annotations of pods"),
        ({"metadata": {"labels": {"app": "y"}}}, "no label of pods"),
        ({"metadata": {"labels": {INJECT: "enabled"}}}, "no label of pods"),
        ({"metadata": {"finalizers": ["a.example/b"]}}, "finalizers or owners"),
        ({"spec": {"containers": [{"name": "app", "image": "other"}]}}, "may not change the spec"),
    ):
        done = patch(body)
        assert done.returncode != 0, words
        assert words in done.stderr
    assert patch({"metadata": {"annotations": {"data-sync.project-flotta.io/mappings": None}}}).returncode == 0
    release.run("delete", "pod", "patched", "-n", release.namespace, "--grace-period=0", "--force")
    release.run("delete", "rolebinding/wide", "role/wide", "-n", release.namespace)


def left(release: Release) -> set[str]:
    return release.there() - release.before


def test_uninstall_leaves_nothing_also_with_a_replica_still_running(release: Release, tmp_path: Path) -> None:
    rotation = Rotation(release.access("webhook", tmp_path), release.certificates(), lambda _pair: None)
    until(lambda: step(rotation), "it runs")
    release.uninstall()
    with suppress(ClusterError):  # its rights have gone, or are about to
        assert not rotation.step()
    until(lambda: not left(release), "everything that can go has gone")
