"""CRDs for fake and real clusters: ours from the chart, and ObjectBucketClaim as its operators ship it, in short."""

from __future__ import annotations

import functools
from typing import Any

from tests.manifests import crds

Json = dict[str, Any]


@functools.cache
def own() -> list[Json]:
    """EdgeDevice and EdgeWorkload; parsed once, since that takes longer than what most tests do."""
    return [crds.document(plural) for plural in crds.PLURALS.values()]


def object_bucket_claims() -> Json:
    """ObjectBucketClaim, as far as its schema matters here."""
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "type": "object",
        "properties": {
            "storageClassName": {"type": "string"},
            "bucketName": {"type": "string"},
            "generateBucketName": {"type": "string"},
            "objectBucketName": {"type": "string"},
            "additionalConfig": {**loose, "nullable": True},
        },
    }
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": loose}}},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "objectbucketclaims.objectbucket.io"},
        "spec": {
            "group": "objectbucket.io",
            "names": {
                "kind": "ObjectBucketClaim",
                "listKind": "ObjectBucketClaimList",
                "plural": "objectbucketclaims",
                "singular": "objectbucketclaim",
                "shortNames": ["obc", "obcs"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }
