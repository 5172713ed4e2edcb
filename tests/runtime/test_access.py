"""Who is answered, who sees names, over plain sockets and TLS; and what every answer says to a browser."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from runtime.access import Access, Places, ShowNames
from runtime.endpoints import Check, Endpoints, Page
from runtime.tls import TlsFiles
from tests.fakes.pem import PemFiles
from webhook.certificates import KeyPair, issue, make_authority

FAR, NEAR = "10.1.2.3", "127.0.0.1"


def made(access: Access | None = None, tls: TlsFiles | None = None) -> Endpoints:
    def well() -> Check:
        return Check(True, "ok")

    return Endpoints(
        "127.0.0.1:0",
        livez=well,
        readyz=well,
        registry=CollectorRegistry(),
        status=lambda names: {"names": names},
        page=Page(b"<!doctype html>", "default-src 'none'; script-src 'sha256-x'"),
        access=access,
        tls=tls,
    )


@contextmanager
def serving(access: Access | None = None, tls: TlsFiles | None = None) -> Iterator[int]:
    """The port of a listener that is really there."""
    server = made(access, tls)
    port = server.start()
    try:
        yield port
    finally:
        server.stop()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("open-sesame\n")
    return file


@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/nowhere"])
def test_with_a_token_set_a_stranger_gets_nothing_but_probes(token: Path, path: str) -> None:
    server = made(Access(str(token)))
    refused = server.answer(path, client=FAR)
    assert refused.code is HTTPStatus.UNAUTHORIZED
    assert b"Authorization: Bearer" in refused.body
    assert b"here are" not in refused.body
    assert server.answer("/livez", client=FAR).code is HTTPStatus.OK
    assert server.answer("/readyz", client=FAR).code is HTTPStatus.OK


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer", "Bearer ", "Basic open-sesame", "open-sesame", "Bearer open-sesame2", "Bearer öpen"],
)
def test_a_wrong_token_is_none(token: Path, header: str) -> None:
    server = made(Access(str(token)))
    assert server.answer("/status", client=FAR, authorization=header).code is HTTPStatus.UNAUTHORIZED


def test_the_token_opens_and_shows_names_and_follows_its_file(token: Path) -> None:
    server = made(Access(str(token)))
    opened = server.answer("/status", client=FAR, authorization="bearer open-sesame")
    assert json.loads(opened.body) == {"names": True}
    token.write_text("another")
    assert server.answer("/status", client=FAR, authorization="Bearer open-sesame").code == 401
    assert server.answer("/status", client=FAR, authorization="Bearer another").code == 200


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_token_that_cannot_be_read_lets_nobody_in(token: Path, how: str) -> None:
    token.unlink() if how == "gone" else token.write_text(" \n")
    server = made(Access(str(token)))
    assert server.answer("/status", client=FAR, authorization="Bearer ").code == 401
    assert server.answer("/status", client=FAR, authorization="Bearer open-sesame").code == 401
    assert server.answer("/status", client=NEAR).code == 200, "loopback needs none"


@pytest.mark.parametrize(
    ("client", "names", "shown"),
    [
        (NEAR, ShowNames.LOOPBACK, True),
        (FAR, ShowNames.LOOPBACK, False),
        (NEAR, ShowNames.NEVER, False),
    ],
)
def test_names_go_to_whom_they_may(client: str, names: ShowNames, shown: bool) -> None:
    server = made(Access(names=names))
    assert json.loads(server.answer("/status", client=client).body) == {"names": shown}


def test_with_names_off_not_even_the_token_shows_them(token: Path) -> None:
    server = made(Access(str(token), ShowNames.NEVER))
    answer = server.answer("/status", client=FAR, authorization="Bearer open-sesame")
    assert json.loads(answer.body) == {"names": False}


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:9346", 200),
        ("LOCALHOST", 200),
        ("pod.localhost:1", 200),
        ("127.0.0.1:9346", 200),
        ("[::1]:9346", 200),
        ("192.168.1.5:9346", 200),
        ("", 200),
        ("evil.example", 403),
        ("evil.example:9346", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("[evil.example]", 403),
    ],
)
def test_a_web_page_whose_name_was_made_to_point_here_reads_nothing(host: str, code: int) -> None:
    server = made()
    for path in ("/", "/status", "/metrics"):
        assert server.answer(path, client=NEAR, host=host).code == code
    assert server.answer("/livez", client=NEAR, host=host).code == 200


def test_from_elsewhere_a_service_is_asked_for_by_its_name() -> None:
    server = made()
    assert server.answer("/metrics", client=FAR, host="os-stats.edge.svc:9346").code == 200


@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/livez", "/nowhere", "/../etc/passwd"])
def test_every_answer_tells_the_browser_what_it_may_do(path: str) -> None:
    with serving() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        headers = connection.getresponse().headers
        connection.close()
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_a_refusal_names_the_scheme(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.access.is_loopback", lambda _: False)
    with serving(Access(str(token))) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/status")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        answer.read()
        connection.request("GET", "/status", headers={"Authorization": "Bearer open-sesame"})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {"names": True})
        connection.close()


def test_one_foreign_address_cannot_take_every_place() -> None:
    places = Places(4, 2)
    assert [places.take(FAR) for _ in range(3)] == [True, True, False]
    assert [places.take("10.9.9.9"), places.take(NEAR), places.take(NEAR)] == [True, True, False], "four in all"
    places.give_back(FAR)
    assert [places.take(FAR), places.take(FAR)] == [True, False]


def test_loopback_may_take_every_place() -> None:
    places = Places(3, 1)
    assert [places.take(NEAR) for _ in range(4)] == [True, True, True, False]


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return make_authority("access test", timedelta(days=1))


def write_pair(directory: Path, authority: KeyPair) -> TlsFiles:
    pair = issue(authority, ["localhost"], timedelta(days=1))
    files = PemFiles(directory)
    files.write(pair)
    return TlsFiles(str(files.certificate), str(files.key))


def ask_tls(port: int, authority: KeyPair) -> tuple[int, int]:
    """Status of /status over TLS, and the serial number of the certificate that was shown."""
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        shown = connection.getpeercert()
        connection.sendall(b"GET /status HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert shown is not None
    return int(answer.split(b" ", 2)[1]), int(str(shown["serialNumber"]), 16)


def test_the_listener_speaks_tls_and_follows_a_renewal(tmp_path: Path, authority: KeyPair) -> None:
    with serving(tls=write_pair(tmp_path, authority)) as port:
        code, first = ask_tls(port, authority)
        assert code == 200
        write_pair(tmp_path, authority)
        code, second = ask_tls(port, authority)
        assert (code, second != first) == (200, True)


def test_a_half_written_renewal_keeps_the_old_pair(tmp_path: Path, authority: KeyPair) -> None:
    with serving(tls=write_pair(tmp_path, authority)) as port:
        first = ask_tls(port, authority)
        PemFiles(tmp_path).write_key(b"-----BEGIN PRIVATE KEY-----\n")
        assert ask_tls(port, authority) == first


def test_plain_http_on_the_tls_port_leaves_it_well(tmp_path: Path, authority: KeyPair) -> None:
    with serving(tls=write_pair(tmp_path, authority)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"GET /status HTTP/1.0\r\n\r\n")
            with suppress(ConnectionResetError):  # cut off with our request unread
                assert b"200" not in b"".join(iter(lambda: connection.recv(65536), b""))
        assert ask_tls(port, authority)[0] == 200


def test_a_certificate_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no PEM")
    for files in (TlsFiles(str(tmp_path / "cert.pem"), str(tmp_path / "cert.pem")), TlsFiles("/nowhere/c", "/k")):
        with pytest.raises(OSError, match=r"PEM|No such file"), serving(tls=files):
            pass
