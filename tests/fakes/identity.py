"""Where pods get keys without having any: an STS that takes web identity tokens, and EKS' agent on the node.

Both on one loopback port. They give out keys, for an hour, to whoever shows the
token that is in the pod's file at that moment.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

SECRET_KEY = "secret-key-that-nobody-may-see"
SESSION_TOKEN = "session-token-that-nobody-may-see"
_XML = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{AccessKeyId}</AccessKeyId>
<SecretAccessKey>{SecretAccessKey}</SecretAccessKey><SessionToken>{Token}</SessionToken>
<Expiration>{Expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""

_DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>
<Message>no such token</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


class Identity:
    """See the module. ``token_file`` is what kubelet would have projected into the pod."""

    def __init__(self, token_file: Path) -> None:
        self.token_file = token_file
        self.asked: list[str] = []
        self._server = _Server(self)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def irsa(self) -> dict[str, str]:
        """What EKS' webhook, or a user with a projected token, gives a container."""
        return {
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/edge",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def pod_identity(self) -> dict[str, str]:
        """What EKS Pod Identity gives a container."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.token_file),
        }

    def keys(self) -> dict[str, str]:
        end = datetime.now(UTC) + timedelta(hours=1)
        return {
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": SECRET_KEY,
            "Token": SESSION_TOKEN,
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        asked, token = form["Action"][0], form["WebIdentityToken"][0]
        self._answer(asked, token, "text/xml", _XML.format(**self.server.identity.keys()))

    def do_GET(self) -> None:
        text = json.dumps(self.server.identity.keys())
        self._answer("agent", self.headers.get("Authorization", ""), "application/json", text)

    def _answer(self, asked: str, token: str, content_type: str, text: str) -> None:
        good = token == self.server.identity.token_file.read_text()
        self.server.identity.asked.append(asked if good else f"{asked} with a wrong token")
        body = text.encode() if good else _DENIED.encode()
        self.send_response(200 if good else 403)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not here."""
