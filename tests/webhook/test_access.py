"""Where the API server is and with which credentials: service accounts, kubeconfigs, and their faults."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from webhook.access import AccessError, Kubeconfig, ServiceAccount, from_environment
from webhook.certificates import KeyPair, issue, make_authority
from webhook.cluster import Cluster, Unavailable

HOST = "127.0.0.1"


class Server:
    """An HTTPS server that tells who called: the bearer token, and the client certificate's subject."""

    def __init__(self, directory: Path) -> None:
        self.authority = make_authority("test authority", timedelta(hours=1))
        self.directory = directory
        pair = self.pair("server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        context.load_verify_locations(cadata=self.authority.certificate_pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server = http.server.ThreadingHTTPServer((HOST, 0), _Teller)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def pair(self, name: str) -> tuple[Path, Path]:
        made: KeyPair = issue(self.authority, [HOST], timedelta(minutes=30))
        return self.write(name, made)

    def write(self, name: str, made: KeyPair) -> tuple[Path, Path]:
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        certificate.write_bytes(made.certificate_pem)
        key.write_bytes(made.key_pem)
        return certificate, key

    def client(self) -> tuple[Path, Path]:
        """A client's certificate; the webhook itself only ever issues servers'."""
        authority = x509.load_pem_x509_certificate(self.authority.certificate_pem)
        signer = serialization.load_pem_private_key(self.authority.key_pem, None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(authority.subject, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(minutes=30))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self.write("client", KeyPair(certificate.public_bytes(serialization.Encoding.PEM), private))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Teller(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        who = {
            "token": self.headers.get("Authorization", ""),
            "certificate": bool(self.connection.getpeercert()),
            "path": self.path,
        }
        raw = json.dumps(who).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path)
    yield found
    found.close()


def kubeconfig(directory: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    path = directory / "kubeconfig"
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def asked(path: Path) -> Any:
    return Cluster(from_environment({"KUBECONFIG": str(path)})).get_path("/version")


def test_a_service_account_is_read_anew_for_each_call(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(server.authority.certificate_pem)
    (tmp_path / "token").write_text("first\n")
    cluster = Cluster(ServiceAccount(HOST, server.port, str(tmp_path)))
    assert cluster.get_path("/version")["token"] == "Bearer first"
    (tmp_path / "token").write_text("second")
    assert cluster.get_path("/version")["token"] == "Bearer second"


def test_a_server_of_another_authority_gets_no_token(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(make_authority("another", timedelta(hours=1)).certificate_pem)
    (tmp_path / "token").write_text("secret")
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        Cluster(ServiceAccount(HOST, server.port, str(tmp_path))).get_path("/version")


def test_a_pod_without_a_token_waits_for_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="token"):
        Cluster(ServiceAccount(HOST, 1, str(tmp_path))).get_path("/version")


def test_a_kubeconfig_with_files_and_a_path_before_the_api(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(server.authority.certificate_pem)
    (tmp_path / "token").write_text("from-a-file")
    cluster = {"server": f"https://{HOST}:{server.port}/clusters/a/", "certificate-authority": "ca.pem"}
    told = asked(kubeconfig(tmp_path, cluster, {"tokenFile": "token"}))
    assert told == {"token": "Bearer from-a-file", "certificate": False, "path": "/clusters/a/version"}


def test_a_kubeconfig_with_everything_inline(server: Server, tmp_path: Path) -> None:
    certificate, key = (base64.b64encode(path.read_bytes()).decode() for path in server.client())
    authority = base64.b64encode(server.authority.certificate_pem).decode()
    cluster = {"server": f"https://{HOST}:{server.port}", "certificate-authority-data": authority}
    user = {"client-certificate-data": certificate, "client-key-data": key}
    assert asked(kubeconfig(tmp_path, cluster, user))["certificate"] is True


def test_a_kubeconfig_that_trusts_everybody(server: Server, tmp_path: Path) -> None:
    cluster = {"server": f"https://{HOST}:{server.port}", "insecure-skip-tls-verify": True}
    assert asked(kubeconfig(tmp_path, cluster, {"token": "inline"}))["token"] == "Bearer inline"


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        pytest.param({"server": "ftp://host"}, {}, "no http or https URL", id="another protocol"),
        pytest.param({"server": "https://host"}, {"exec": {"command": "aws"}}, "runs a program", id="a program"),
        pytest.param({}, {}, "'server'", id="no server"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], said: str
) -> None:
    with pytest.raises(AccessError, match=said):
        Kubeconfig.load(str(kubeconfig(tmp_path, cluster, user)))


def test_a_kubeconfig_without_its_context_says_so(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"server": "https://host"}, {})
    path.write_text(path.read_text().replace("name: u", "name: someone"))
    with pytest.raises(AccessError, match="no user 'u'"):
        Kubeconfig.load(str(path))


@pytest.mark.parametrize("text", [None, "", "[", "just a text"])
def test_a_file_that_is_no_kubeconfig_says_so(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AccessError, match="cannot be used"):
        Kubeconfig.load(str(path))


def test_outside_of_a_pod_the_way_must_be_named() -> None:
    with pytest.raises(AccessError, match="KUBECONFIG"):
        from_environment({})
    found = from_environment({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"})
    assert found == ServiceAccount("10.0.0.1", 443)
