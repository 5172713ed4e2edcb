"""Settings: every fault at once, each naming its variable; the program exits 2 and says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contract.storage import Credentials
from runtime.environment import SettingsError
from webhook.injection_settings import InjectionSettings
from webhook.settings import Settings

GOOD = {"WEBHOOK_CATALOG": "none", "WEBHOOK_TLS_CERT": "tls.crt", "WEBHOOK_TLS_KEY": "tls.key"}


def test_defaults_are_the_contracts() -> None:
    settings = Settings.from_env(GOOD)
    assert settings == Settings(InjectionSettings(), "tls.crt", "tls.key", catalog="none")
    assert (settings.listen, settings.metrics_listen) == ("0.0.0.0:10250", "0.0.0.0:9346")
    assert settings.injection.export_root == "/var/local/yggdrasil/device/volumes"


def test_every_variable_is_read() -> None:
    settings = Settings.from_env({
        **GOOD,
        "WEBHOOK_LISTEN": "127.0.0.1:1",
        "WEBHOOK_METRICS_LISTEN": "[::1]:2",
        "WEBHOOK_THREADS": "3",
        "WEBHOOK_LOG_LEVEL": "debug",
        "WEBHOOK_SIDECAR_IMAGE": "mirror/sidecar:2",
        "WEBHOOK_EXPORT_ROOT": "/srv/edge/",
        "WEBHOOK_EXPORT_LAYOUT": "flotta",
        "WEBHOOK_EXPORT_FLOTTA_NAMESPACE": "flotta",
        "WEBHOOK_SIDECAR_CPU_REQUEST": "20m",
        "WEBHOOK_SIDECAR_MEMORY_REQUEST": "1Gi",
        "WEBHOOK_SIDECAR_MEMORY_LIMIT": "2Gi",
        "WEBHOOK_DEFAULT_S3_CONFIG_MAP": "config",
        "WEBHOOK_DEFAULT_S3_SECRET": "secret",
        "WEBHOOK_DEFAULT_S3_CREDENTIALS": "chain",
        "WEBHOOK_CLAIM_ENDPOINT": "https://s3.example.org",
        "WEBHOOK_CLAIM_REGION": "eu-1",
        "WEBHOOK_CLAIM_ADDRESSING": "virtual",
        "WEBHOOK_CLAIM_CA": "-----BEGIN CERTIFICATE-----",
        "WEBHOOK_SCC": "ours",
        "WEBHOOK_SCC_ACCOUNTS": "edge/reader, edge/writer",
    })  # fmt: skip
    claim = {
        "BUCKET_HOST": "s3.example.org", "BUCKET_PORT": "443", "BUCKET_SCHEME": "https", "BUCKET_REGION": "eu-1",
        "BUCKET_ADDRESSING": "virtual", "tls.crt": "-----BEGIN CERTIFICATE-----",
    }  # fmt: skip
    storage = ("config", "secret", Credentials.CHAIN, tuple(sorted(claim.items())))
    accounts = frozenset({"edge/reader", "edge/writer"})
    injection = InjectionSettings(
        "mirror/sidecar:2", "/srv/edge", "flotta", "20m", "1Gi", "2Gi", *storage, scc="ours", scc_accounts=accounts
    )
    assert settings == Settings(injection, "tls.crt", "tls.key", "127.0.0.1:1", "[::1]:2", 3, "DEBUG", "none")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param("WEBHOOK_CATALOG", "maybe", "'maybe'", id="an unknown catalog"),
        pytest.param("WEBHOOK_DEFAULT_S3_CONFIG_MAP", "config", "SECRET", id="a bucket without keys"),
        pytest.param("WEBHOOK_DEFAULT_S3_SECRET", "secret", "where the bucket is", id="keys without a bucket"),
        pytest.param("WEBHOOK_DEFAULT_S3_CONFIG_MAP", "A/b", "'A/b'", id="a name that is none"),
        pytest.param("WEBHOOK_DEFAULT_S3_CREDENTIALS", "none", "'none'", id="unknown credentials"),
        pytest.param("WEBHOOK_TLS_CERT", "", "not set", id="a key without certificate"),
        pytest.param("WEBHOOK_CLAIM_ENDPOINT", "s3.example.org", "endpoint", id="a host for an endpoint"),
        pytest.param("WEBHOOK_CLAIM_ENDPOINT", "https://s3.example.org/bucket", "endpoint", id="a path in an endpoint"),
        pytest.param("WEBHOOK_CLAIM_ENDPOINT", "https://a:b@s3.example.org", "endpoint", id="keys in an endpoint"),
        pytest.param("WEBHOOK_CLAIM_ENDPOINT", "https://[::1", "endpoint", id="half an address"),
        pytest.param("WEBHOOK_CLAIM_ENDPOINT", "https://host:99999", "endpoint", id="a port that is none"),
        pytest.param("WEBHOOK_CLAIM_ADDRESSING", "dns", "'dns'", id="an unknown addressing"),
        pytest.param("WEBHOOK_CLAIM_CA", "MIIB", "PEM", id="a certificate that is none"),
        pytest.param("WEBHOOK_TLS_KEY", " ", "not set", id="a certificate without key"),
        pytest.param("WEBHOOK_ALLOW_NODE_ROLE", "yes", "'true'", id="a word for yes"),
        pytest.param("WEBHOOK_SELF_SECRET", "A/B", "'A/B'", id="a path for a Secret"),
        pytest.param("WEBHOOK_SELF_AUTHORITY_LIFETIME", "a year", "'a year'", id="a word for a lifetime"),
        pytest.param("WEBHOOK_SELF_SERVING_LIFETIME", "0s", "shorter", id="no lifetime"),
        pytest.param("WEBHOOK_SELF_SERVING_LIFETIME", "8000h", "a third", id="a leaf that outlives its authority"),
        pytest.param("WEBHOOK_SCC_ACCOUNTS", "edge/a reader", "'reader'", id="an account without namespace"),
        pytest.param("WEBHOOK_LISTEN", "10250", "listen address", id="a port for an address"),
        pytest.param("WEBHOOK_METRICS_LISTEN", "a:b", "listen address", id="a word for a port"),
        pytest.param("WEBHOOK_THREADS", "0", "1 to 256", id="no threads"),
        pytest.param("WEBHOOK_LOG_LEVEL", "loud", "'loud'", id="an unknown log level"),
        pytest.param("WEBHOOK_SIDECAR_IMAGE", "a b", "'a b'", id="an image with a space"),
        pytest.param("WEBHOOK_EXPORT_ROOT", "relative", "absolute", id="a relative root"),
        pytest.param("WEBHOOK_EXPORT_ROOT", "/", "below /", id="the node's own root"),
        pytest.param("WEBHOOK_EXPORT_ROOT", "/srv/../etc", "absolute", id="a root that climbs"),
        pytest.param("WEBHOOK_EXPORT_LAYOUT", "flat", "'flat'", id="an unknown layout"),
        pytest.param("WEBHOOK_EXPORT_LAYOUT", "flotta", "WEBHOOK_EXPORT_FLOTTA_NAMESPACE", id="flotta, for none"),
        pytest.param("WEBHOOK_EXPORT_FLOTTA_NAMESPACE", "A/B", "'A/B'", id="a path for a namespace"),
        pytest.param("WEBHOOK_SIDECAR_MEMORY_LIMIT", "much", "'much'", id="a word for a quantity"),
    ],
)
def test_a_fault_names_its_variable(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({**GOOD, name: value})
    assert [fault.startswith(f"{name}: ") and said in fault for fault in caught.value.faults] == [True]


def test_all_faults_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"WEBHOOK_CATALOG": "x", "WEBHOOK_LISTEN": "x", "WEBHOOK_THREADS": "x"})
    named = [fault.partition(":")[0] for fault in caught.value.faults]
    assert sorted(named) == ["WEBHOOK_CATALOG", "WEBHOOK_LISTEN", "WEBHOOK_THREADS"]


def test_without_files_the_webhook_makes_its_own_certificates() -> None:
    settings = Settings.from_env(
        {"WEBHOOK_CATALOG": "none", "WEBHOOK_SELF_SERVICE": "a", "WEBHOOK_SELF_NAMESPACE": "b"}
    )
    assert settings.tls_cert == ""
    assert settings.self_certificates.names[0] == "a.b.svc"
    assert settings.self_certificates.serving_lifetime == timedelta(hours=24)


def test_the_commands_without_a_cluster_need_no_variable() -> None:
    assert InjectionSettings.from_env({}) == InjectionSettings()


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        pytest.param("http://rook.example.org/", "rook.example.org", "80", id="plain"),
        pytest.param("https://10.0.0.1:9000", "10.0.0.1", "9000", id="with a port"),
        pytest.param("https://[fd00::1]:8443", "[fd00::1]", "8443", id="IPv6"),
    ],
)
def test_an_endpoint_becomes_host_port_and_scheme(endpoint: str, host: str, port: str) -> None:
    found = dict(InjectionSettings.from_env({"WEBHOOK_CLAIM_ENDPOINT": endpoint}).claim_overrides)
    assert found == {"BUCKET_HOST": host, "BUCKET_PORT": port, "BUCKET_SCHEME": endpoint.partition(":")[0]}
