"""``python -m benchmarks.admission_server nothing|catalog``: the webhook's own server around another handler.

``nothing`` allows every review unread, which is what server, TLS, envelope, metrics and log cost; ``catalog`` is
the real handler with a hundred devices and workloads in its catalog. Settings are the webhook's.

Neighbours: ``admission.py`` measures it beside ``python -m webhook``.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any, Final

from runtime import logs
from webhook.admit import admit
from webhook.catalog import Catalog
from webhook.facts import catalog_of
from webhook.metrics import Metrics
from webhook.reasons import Reason
from webhook.review import Answer, Review
from webhook.server import Handler, create_app
from webhook.serving import serve
from webhook.settings import Settings
from webhook.tls import FileTls

_OBJECTS: Final = 100  # of each kind
_API: Final = "management.project-flotta.io/v1alpha1"
_ALLOWED: Final = Answer(allowed=True, reason=Reason.NOT_REQUESTED, result="skipped")


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    handler: Handler = _nothing
    if sys.argv[1] == "catalog":
        handler = partial(admit, catalog=_catalog(), settings=settings.injection)
    metrics = Metrics()
    files = FileTls(settings.tls_cert, settings.tls_key, metrics.certificate)
    files.load()
    serve(create_app(handler, metrics), settings, metrics, files)


def _nothing(_review: Review) -> Answer:
    return _ALLOWED


def _catalog() -> Catalog:
    s3 = {"storage": {"s3": {"configMapName": "config", "secretName": "secret"}}}
    data = {"egress": [{"source": "stats", "target": "statistics"}]}
    found: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge", "uid": "u"}}]
    for number in range(_OBJECTS):
        found.append(
            {"apiVersion": _API, "kind": "EdgeDevice", "metadata": {"name": f"device-{number}"}, "spec": s3},
        )
        found.append(
            {"apiVersion": _API, "kind": "EdgeWorkload", "metadata": {"name": f"app-{number}"}, "spec": {"data": data}},
        )
    return catalog_of(found, "edge")


if __name__ == "__main__":
    main()
