"""What a path of a mapping may be, on the device and in the bucket; faults are the ends of sentences.

Checks components, never substrings: ``file..txt`` is fine, ``..`` is not. Whether two mappings fit
beside each other is ``mapping``'s.
"""

from __future__ import annotations

import re
from typing import Final

from contract.names import OWN_DIR

# Only these expand in the bucket's side of a mapping; the sidecar fills them in, never kubelet.
VARIABLES: Final = ("POD_NAME", "POD_NAMESPACE", "NODE_NAME", "DEVICE_ID")
REFERENCE: Final = re.compile(r"\$\(([^()]*)\)")

COMPONENT_LIMIT: Final = 255  # bytes in one name on every Linux file system we run on
KEY_LIMIT: Final = 1024  # bytes in one S3 object key


def contains(outer: str, inner: str) -> bool:
    """Whether directory ``outer`` is ``inner`` or holds it; ``.`` holds everything."""
    return outer in (".", inner) or inner.startswith(outer + "/")


def path_fault(path: str, *, device: bool) -> str | None:
    """What is wrong with ``path``, as the end of a sentence, or None."""
    if device and path == ".":
        return None
    if not path:
        return "it is empty"
    if path.startswith("/"):
        return "it is absolute; write it relative, without the leading '/'"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "it is no valid UTF-8"
    if size >= KEY_LIMIT:
        return f"it is longer than {KEY_LIMIT - 1} bytes"
    faults = filter(None, map(_component_fault, path.split("/")))
    return next(faults, None) or (_device_fault(path) if device else _reference_fault(path))


def _component_fault(component: str) -> str | None:
    if component in ("", ".", ".."):
        return f"it has the component {component!r}"
    if "\0" in component:
        return "it holds a NUL character"
    if len(component.encode()) > COMPONENT_LIMIT:
        return f"the component {component[:40]!r}… is longer than {COMPONENT_LIMIT} bytes"
    return None


def _device_fault(path: str) -> str | None:
    if REFERENCE.search(path):
        return "$(NAME) expands only on the bucket's side"
    if path.split("/", 1)[0] == OWN_DIR:
        return f"{OWN_DIR} is data-sync's own directory"
    return None


def _reference_fault(path: str) -> str | None:
    unknown = [name for name in REFERENCE.findall(path) if name not in VARIABLES]
    if unknown:
        return f"$({unknown[0]}) is unknown (known: {', '.join(VARIABLES)})"
    return None
