"""The values that the chart is rendered with, one name each."""

from __future__ import annotations

from typing import Any

SCC = {"openshift": {"scc": {"create": True, "serviceAccounts": [{"namespace": "edge", "name": "reader"}]}}}
EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "edge"},
    "image": {"registry": "registry.example.com/flotta", "pullPolicy": "Always", "pullSecrets": [{"name": "pull"}]},
    "webhook": {
        "image": {"digest": "sha256:" + "a" * 64},
        "replicas": 3,
        "matchConditions": [{"name": "not-huge", "expression": "object.spec.containers.size() < 50"}],
        "podLabels": {"extra": "label"},
        "podAnnotations": {"extra": "annotation"},
        "env": [{"name": "EXTRA", "value": "1"}],
        "topologySpread": "DoNotSchedule",
        "affinity": {"podAntiAffinity": {}},
        "podDisruptionBudget": {"maxUnavailable": "50%"},
    },
    "controller": {"replicas": 2, "env": [{"name": "EXTRA", "value": "1"}]},
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True},
        "dashboards": {"enabled": True, "annotations": {"folder": "Edge"}},
    },
    "networkPolicy": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    "repair": {"enabled": True, "restart": True},
    "storage": {
        "default": {"configMap": "bucket", "secret": "keys"},
        "obc": {"endpoint": "https://s3.example", "region": "r", "addressing": "path"},
    },
    "test": {"bucket": {"configMap": "bucket", "secret": "keys"}},
}
POLICIES = {"policies": {"injection": "Deny", "hostPath": "Deny", "template": "Warn"}}

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "one-replica": {"webhook": {"replicas": 1}},
    "webhook-alone": {"controller": {"enabled": False}, "crds": {"enabled": False}},
    "bare": {
        "networkPolicy": {"enabled": False},
        "priorityClass": {"create": False},
        "webhook": {"podDisruptionBudget": {"enabled": False}, "namespaceOptIn": False},
    },
    "fail-closed": {"webhook": {"failurePolicy": "Fail", "reinvocationPolicy": "Never"}},
    "host-network": {"webhook": {"hostNetwork": True, "port": 10260, "metricsPort": 10261}},
    "cert-manager": {"certificates": {"mode": "cert-manager"}},
    "cert-manager-issuer": {
        "certificates": {
            "mode": "cert-manager",
            "certManager": {"issuerRef": {"name": "corp", "kind": "ClusterIssuer"}},
        }
    },
    "provided": {
        "certificates": {
            "mode": "provided",
            "provided": {"secretName": "mine", "caBundle": "-----BEGIN CERTIFICATE-----\nAA==\n"},
        }
    },
    "service-monitor": {"monitoring": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
    "flotta-layout": {"export": {"layout": "flotta", "flottaNamespace": "edge"}},
    "openshift": SCC,
    "repair-listing": {"repair": {"enabled": True}},
    "default-by-chain": {"storage": {"default": {"configMap": "bucket", "credentials": "chain"}}},
    "names": {"fullnameOverride": "sync", "priorityClass": {"name": "mine", "create": False}},
}
