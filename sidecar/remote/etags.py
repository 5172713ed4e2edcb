"""ETags as the sidecar keeps them and as HTTP writes them. Part of the S3 adapter, and pure."""

from __future__ import annotations

from sidecar.tree import ETag


def bare(text: str) -> ETag:
    """An ETag without quotes, as every method of the store gives it.

    The mark of a weak one goes too: proxies that compress add it, and listings never have it.
    """
    return ETag(text.strip().removeprefix("W/").strip('"'))


def quoted(etag: ETag) -> str:
    """An ETag as HTTP wants it in a condition."""
    return f'"{etag}"'
