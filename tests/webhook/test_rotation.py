"""Replicas that rotate on one API server: at every moment what each serves verifies under what is published.

Time is the test's own; the API server is the one in memory, over real HTTP. Real processes do the same in
``test_self_made.py``.
"""

from __future__ import annotations

import base64
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from tests.fakes.cluster import Call, FakeCluster, Json, Refused
from webhook.access import Kubeconfig
from webhook.certificates import KeyPair, certificates, not_after
from webhook.cluster import Cluster, Unavailable
from webhook.rotation import Rotation
from webhook.settings import SelfCertificates

START = datetime(2026, 11, 1, tzinfo=UTC)
SETTINGS = SelfCertificates(authority_lifetime=timedelta(hours=18), serving_lifetime=timedelta(hours=6))
HOUR = timedelta(hours=1)


def configuration(*names: str) -> Json:
    service = {"name": SETTINGS.service, "namespace": SETTINGS.namespace, "path": "/mutate", "port": 443}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": SETTINGS.configuration},
        "webhooks": [{"name": name, "clientConfig": {"service": service}} for name in names],
    }


class World:
    """An API server, a clock, and any number of replicas."""

    def __init__(self, cluster: FakeCluster, directory: Path) -> None:
        self.cluster = cluster
        self.now = START
        self._access = Kubeconfig.load(str(cluster.kubeconfig(directory / "kubeconfig")))

    def replica(self) -> Replica:
        return Replica(self, Cluster(self._access))

    def install(self, *names: str) -> None:
        self.cluster.create(configuration(*(names or ("pods.example", "namespaces.example"))))

    def uninstall(self) -> None:
        self.cluster.delete("mutatingwebhookconfigurations.admissionregistration.k8s.io", SETTINGS.configuration)
        if self.secret():
            self.cluster.delete("secrets", SETTINGS.secret, SETTINGS.namespace)

    def bundles(self) -> list[bytes]:
        found = self.cluster.get("mutatingwebhookconfigurations.admissionregistration.k8s.io", SETTINGS.configuration)
        return [base64.b64decode(hook["clientConfig"].get("caBundle", "")) for hook in found["webhooks"]]

    def secret(self) -> Json | None:
        return self.cluster.find("secrets", SETTINGS.secret, SETTINGS.namespace)


class Replica:
    """One rotation and what it serves."""

    def __init__(self, world: World, cluster: Cluster) -> None:
        self._world = world
        self.served: list[KeyPair] = []
        self.rotation = Rotation(cluster, SETTINGS, self.served.append, lambda: world.now)

    def verify(self) -> None:
        """As the API server would, at this moment."""
        for bundle in self._world.bundles():
            store = Store(x509.load_pem_x509_certificates(bundle))
            verifier = (
                PolicyBuilder()
                .store(store)
                .time(self._world.now)
                .build_server_verifier(x509.DNSName(SETTINGS.names[0]))
            )
            verifier.verify(x509.load_pem_x509_certificate(self.served[-1].certificate_pem), [])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with FakeCluster() as cluster:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.namespace}})
        yield World(cluster, tmp_path)


def test_the_first_look_makes_publishes_and_serves(world: World) -> None:
    world.install()
    replica = world.replica()
    assert not replica.rotation.check().ok
    assert replica.rotation.step()
    assert replica.rotation.check().ok
    replica.verify()
    assert len(set(world.bundles())) == 1
    assert (world.secret() or {})["type"] == "Opaque"


def test_an_empty_secret_of_the_chart_is_filled(world: World) -> None:
    world.install()
    metadata = {"name": SETTINGS.secret, "namespace": SETTINGS.namespace, "labels": {"a": "b"}}
    world.cluster.create({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata})
    assert world.replica().rotation.step()
    secret = world.secret() or {}
    assert set(secret["data"]) == {"ca.crt", "ca.key", "retired.json"}
    assert secret["metadata"]["labels"] == {"a": "b"}


def test_replicas_that_begin_together_agree_on_one_authority(world: World) -> None:
    world.install()
    replicas = [world.replica() for _ in range(3)]
    barrier = threading.Barrier(3)

    def begin(replica: Replica) -> None:
        barrier.wait(30)
        while not replica.rotation.step():
            pass

    threads = [threading.Thread(target=begin, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(certificates(world.bundles()[0])) == 1
    for replica in replicas:
        replica.verify()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_handshake_of_a_ready_replica_verifies_whatever_happens(world: World, seed: int) -> None:
    """Days in which replicas look at random, die, begin, lose the Secret and the API server."""
    choose = random.Random(seed)
    world.install()
    replicas = [world.replica() for _ in range(3)]
    bundles = set()
    for _ in range(250):
        world.now += timedelta(minutes=choose.uniform(1, 12))
        act = choose.random()
        if act < 0.02:
            replicas[choose.randrange(3)] = world.replica()
        elif act < 0.03 and world.secret():
            world.cluster.delete("secrets", SETTINGS.secret, SETTINGS.namespace)
        for replica in choose.sample(replicas, choose.randint(1, 3)):
            replica.rotation.step()
        for replica in replicas:
            if replica.rotation.check().ok:
                replica.verify()
        bundles.add(world.bundles()[0])
    assert len(bundles) >= 3  # authorities came and went
    assert len(certificates(world.bundles()[0])) <= 4


def test_a_lost_secret_is_made_again_and_the_old_leaf_served_until_the_new_authority_is_known(world: World) -> None:
    world.install()
    replica = world.replica()
    replica.rotation.step()
    before = replica.served[-1]
    world.cluster.delete("secrets", SETTINGS.secret, SETTINGS.namespace)
    replica.rotation.step()
    assert world.secret() is not None
    assert replica.served[-1] == before
    replica.verify()
    world.now += 2 * HOUR
    replica.rotation.step()
    assert replica.served[-1] != before
    replica.verify()


def test_a_secret_of_somebody_else_is_said_and_made_anew(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.install()
    data = {"ca.crt": base64.b64encode(b"mine").decode()}
    metadata = {"name": SETTINGS.secret, "namespace": SETTINGS.namespace}
    world.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    replica = world.replica()
    assert replica.rotation.step()
    replica.verify()
    assert "cannot be read" in caplog.text


def test_without_a_webhook_configuration_nothing_is_left_behind(world: World) -> None:
    replica = world.replica()
    assert not replica.rotation.step()
    assert world.secret() is None
    assert "no webhook configuration data-sync" in replica.rotation.check().reason


def test_after_an_uninstall_a_replica_that_still_runs_makes_no_secret(world: World) -> None:
    world.install()
    replica = world.replica()
    replica.rotation.step()
    world.uninstall()
    replica.rotation.step()
    assert world.secret() is None
    assert replica.rotation.check().ok  # what is served is served on


def test_a_configuration_that_leads_elsewhere_is_left_alone(world: World) -> None:
    other = configuration("pods.example")
    other["webhooks"][0]["clientConfig"]["service"]["name"] = "another"
    world.cluster.create(other)
    replica = world.replica()
    assert not replica.rotation.step()
    assert world.bundles() == [b""]
    assert "leads to us" in replica.rotation.check().reason


def test_a_bundle_that_somebody_changed_is_put_right(world: World) -> None:
    world.install()
    replica = world.replica()
    replica.rotation.step()
    world.cluster.delete("mutatingwebhookconfigurations.admissionregistration.k8s.io", SETTINGS.configuration)
    world.install()
    replica.rotation.step()
    replica.verify()


def test_a_configuration_made_anew_gets_a_certificate_that_it_trusts_at_once(world: World) -> None:
    world.install()
    replica = world.replica()
    replica.rotation.step()
    world.uninstall()
    world.install()
    replica.rotation.step()
    replica.verify()


def test_a_secret_that_it_made_goes_with_the_configuration(world: World) -> None:
    world.install()
    world.replica().rotation.step()
    (owner,) = (world.secret() or {})["metadata"]["ownerReferences"]
    found = world.cluster.get("mutatingwebhookconfigurations.admissionregistration.k8s.io", SETTINGS.configuration)
    assert (owner["kind"], owner["uid"]) == (found["kind"], found["metadata"]["uid"])


def test_an_older_view_never_takes_an_authority_out_of_the_bundle(world: World) -> None:
    """While one replica holds the Secret it has read, another moves on; the first's patch must not win."""
    world.install()
    slow, quick = world.replica(), world.replica()
    slow.rotation.step()
    quick.rotation.step()
    world.now += 13 * HOUR  # a following authority is due
    moved: list[int] = []

    def interfere(call: Call) -> None:
        if call.verb == "update" and call.resource == "secrets" and not moved:
            moved.append(1)
            quick.rotation.step()

    world.cluster.api.before.append(interfere)
    assert not slow.rotation.step()  # told that another was faster
    published = world.bundles()
    assert len(certificates(published[0])) == 2
    assert slow.rotation.step()
    assert world.bundles() == published


def test_while_the_api_server_is_down_the_leaf_is_renewed_from_memory(world: World) -> None:
    world.install()
    replica = world.replica()
    replica.rotation.step()
    before = replica.served[-1]
    world.now += 5 * HOUR
    bundle = world.bundles()
    world.cluster.stop()
    with pytest.raises(Unavailable):
        replica.rotation.step()
    replica.rotation._renew()
    assert replica.served[-1] != before
    assert not_after(replica.served[-1].certificate_pem) == world.now + SETTINGS.serving_lifetime
    world.cluster.start()
    assert world.bundles() == bundle
    replica.verify()


def test_a_clock_that_was_set_back_gets_a_leaf_that_is_valid_now(world: World) -> None:
    world.install()
    replica = world.replica()
    world.now = START + 3 * HOUR
    replica.rotation.step()
    world.now = START + HOUR
    replica.rotation.step()
    assert len(replica.served) == 2
    world.now = START + 2 * HOUR + timedelta(minutes=30)
    replica.verify()


def test_the_loop_goes_on_whatever_is_refused_and_says_it_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.install()
    failures = ["not allowed", "not allowed", "gone wrong"]

    def refuse(call: Call) -> None:
        if failures and call.resource == "secrets":
            message = failures.pop(0)
            raise Refused(403, "Forbidden", message)

    world.cluster.api.before.append(refuse)
    replica = world.replica()
    stopping = threading.Event()

    def install(pair: KeyPair) -> None:
        replica.served.append(pair)
        stopping.set()

    replica.rotation._install = install
    replica.rotation.run(stopping)
    replica.verify()
    assert len([record for record in caplog.records if "not looked after" in record.message]) == 2
