"""The page at ``/``: one document of HTML, style and script, and the policy that allows just these.

It asks ``/status`` again and again and shows what it says; it changes nothing and loads nothing else.
Everything from the outside world is put into the page as text, never as HTML. The parts lie beside
this file, to be edited and linted as what they are.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final

from runtime.endpoints import Page

_STYLE: Final = "/*style*/"
_SCRIPT: Final = "/*script*/"


def document() -> Page:
    """The page, ready to be served."""
    style, script = _part("page.css"), _part("page.js")
    html = _part("page.html").replace(_STYLE, style).replace(_SCRIPT, script)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )
    return Page(html.encode(), policy)


def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
