"""``python -m webhook inject`` and ``explain``: files in, manifests, sentences and exit codes out."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contract import names
from webhook.__main__ import main
from webhook.manifests import load

GOLDEN = Path(__file__).parent.parent / "golden"
TEMPLATE: dict[str, Any] = {
    "metadata": {
        "labels": {names.INJECT: names.ENABLED, "app": "web"},
        "annotations": {
            names.S3_CONFIG_MAP: "c",
            names.S3_SECRET: "s",
            names.EGRESS: "[{source: out, target: results/$(POD_NAME)}]",
        },
    },
    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
}


def owner(kind: str) -> dict[str, Any]:
    inner: dict[str, Any] = {"template": copy.deepcopy(TEMPLATE)}
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": inner}} if kind == "CronJob" else inner
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web", "namespace": "edge"}, "spec": spec}


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> Any:
    """Exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    code = main([*arguments, "-f", "-"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def inject(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda text, *arguments: run(capsys, monkeypatch, text, "inject", *arguments)


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda text, *arguments: run(capsys, monkeypatch, text, "explain", *arguments)


def as_yaml(*documents: Any) -> str:
    import yaml

    return yaml.safe_dump_all(documents)


def volumes(pod: Any) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod["spec"]["volumes"]}


def test_a_pod_in_a_file_becomes_what_admission_makes_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_SIDECAR_IMAGE", "data-sync-sidecar:golden")
    assert main(["inject", "-n", "edge", "-f", str(GOLDEN / "os-stats" / "pod.yaml")]) == 0
    assert load(capsys.readouterr().out) == load((GOLDEN / "os-stats" / "expected.yaml").read_text())


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"])
def test_a_template_is_injected_and_named_after_its_owner(kind: str, inject: Any) -> None:
    code, out, _ = inject(as_yaml(owner(kind)))
    (document,) = load(out)
    spec = document["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else document["spec"]
    template = spec["template"]
    assert code == 0
    assert volumes(template)["export-web"]["hostPath"]["path"].endswith("/edge/web")
    assert "ownerReferences" not in template["metadata"]


def test_what_holds_no_pod_passes_through_unchanged(inject: Any) -> None:
    documents = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c"},
            "data": {"on": "yes", "date": "2024-01-01"},
        },
        {"apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice", "spec": {"requestTime": "2021"}},
    ]
    code, out, _ = inject(as_yaml(*documents))
    assert (code, load(out)) == (0, documents)


def test_dates_stay_as_they_were_written(inject: Any) -> None:
    assert "2021-10-19T18:13:04Z" in inject("kind: EdgeDevice\nspec:\n  requestTime: 2021-10-19T18:13:04Z\n")[1]


def test_a_pod_that_does_not_ask_passes_through_unchanged(inject: Any) -> None:
    text = (GOLDEN / "not-asked-for-skipped" / "pod.yaml").read_text()
    assert load(inject(text)[1]) == load(text)


def test_lists_are_looked_into(inject: Any) -> None:
    _, out, _ = inject(
        as_yaml({"apiVersion": "v1", "kind": "List", "items": [owner("Deployment"), owner("DaemonSet")]})
    )
    (document,) = load(out)
    assert all("export-web" in volumes(item["spec"]["template"]) for item in document["items"])


def test_an_injected_file_is_injected_again_without_a_change(inject: Any) -> None:
    once = inject(as_yaml(owner("Deployment"), owner("CronJob")))[1]
    assert inject(once)[1] == once


def test_a_denied_pod_is_an_error_and_nothing_is_printed(inject: Any) -> None:
    denied = owner("Deployment")
    denied["spec"]["template"]["spec"]["shareProcessNamespace"] = True
    code, out, err = inject(as_yaml(owner("Job"), denied))
    assert (code, out) == (1, "")
    assert "denied: Deployment/web: shareProcessNamespace" in err


def test_warnings_go_to_standard_error(inject: Any) -> None:
    warned = owner("Deployment")
    warned["spec"]["template"]["metadata"]["annotations"][names.EGRESS] = "[{source: a, target: b}]"
    code, _, err = inject(as_yaml(warned))
    assert code == 0
    assert "warning: Deployment/web: every replica writes below 'b'" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: b: c", "no valid YAML", id="no YAML"),
        pytest.param("- a\n", "no object", id="a list"),
        pytest.param(
            "kind: Deployment\nmetadata: {name: web}\nspec: {}\n",
            "Deployment/web has no pod template",
            id="no template",
        ),
        pytest.param(
            "kind: Job\nspec: {template: {metadata: [1]}}\n", "metadata is no object", id="metadata that is none"
        ),
    ],
)
def test_a_file_that_is_no_manifest_is_misconfigured(text: str, said: str, inject: Any) -> None:
    code, out, err = inject(text)
    assert (code, out, said in err) == (2, "", True)


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_bad_settings_are_named(inject: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_EXPORT_ROOT", "relative")
    code, _, err = inject("")
    assert (code, "WEBHOOK_EXPORT_ROOT" in err) == (2, True)


def test_for_podman_nothing_is_left_that_podman_refuses(inject: Any) -> None:
    code, out, _ = inject((GOLDEN / "os-stats" / "pod.yaml").read_text(), "--for", "podman", "-n", "edge")
    (pod,) = load(out)
    assert code == 0
    kinds = {key for volume in pod["spec"]["volumes"] for key in volume if key != "name"}
    assert kinds == {"hostPath", "emptyDir"}
    assert volumes(pod)["export-os-stats"]["hostPath"]["type"] == "DirectoryOrCreate"
    assert [container["name"] for container in pod["spec"]["containers"]] == ["stats-collector", "data-sync"]
    assert [container["name"] for container in pod["spec"]["initContainers"]] == ["data-sync-init"]
    assert pod["spec"]["restartPolicy"] == "OnFailure"
    assert max(len(value) for value in pod["metadata"]["annotations"].values()) <= 63
    declared = set(volumes(pod))
    for container in pod["spec"]["containers"] + pod["spec"]["initContainers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= declared


def test_for_podman_the_storage_keys_are_optional_variables(inject: Any) -> None:
    _, out, _ = inject((GOLDEN / "os-stats" / "pod.yaml").read_text(), "--for", "podman")
    variables = {item["name"]: item.get("valueFrom") for item in load(out)[0]["spec"]["containers"][1]["env"]}
    reference = {"name": "s3configmap-name", "key": "BUCKET_NAME", "optional": True}
    assert variables["BUCKET_NAME"] == {"configMapKeyRef": reference}
    reference = {"name": "s3secret-name", "key": "AWS_ACCESS_KEY_ID", "optional": True}
    assert variables["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": reference}
    assert "NODE_NAME" not in variables  # podman has no such field, and of the namespace only the text
    assert variables["POD_NAMESPACE"] is None
    assert variables["POD_NAME"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert "tls.crt" not in variables


def test_for_podman_no_value_is_escaped_since_podman_expands_none(inject: Any) -> None:
    _, out, _ = inject(as_yaml(owner("Deployment")), "--for", "podman")
    sidecar = load(out)[0]["spec"]["template"]["spec"]["containers"][1]
    values = {item["name"]: item.get("value", "") for item in sidecar["env"]}
    assert "results/$(POD_NAME)" in values["DATA_SYNC_EGRESS"]
    assert "$$" not in "".join(values.values())


def test_for_podman_a_job_is_denied_since_its_sidecar_would_have_to_be_classic(inject: Any) -> None:
    job = owner("Job")
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    assert inject(as_yaml(job), "--for", "podman")[0] == 1


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("os-stats", "Pod/os-stats: inject (injected): data-sync was added\n  workload os-stats (by name)"),
        ("os-stats", "egress   stats → statistics"),
        ("scope-pod-on-claim", "volume   export-reader, pvc shared"),
        ("empty-dir-warned", "  warning: "),
        ("not-asked-for-skipped", "Pod/reader: skip (not_requested): neither"),
        ("label-misspelt-warned", "  warning: the label inject"),
        ("half-storage-denied", "Pod/reader: deny (invalid_annotation): an annotation cannot be used\n  - annotation"),
    ],
)
def test_explain_says_what_and_why(case: str, said: str, explain: Any) -> None:
    code, out, _ = explain((GOLDEN / case / "pod.yaml").read_text())
    assert (code, said in out) == (0, True), out


def test_explain_says_so_when_there_is_no_pod(explain: Any) -> None:
    assert explain("kind: ConfigMap\n")[1] == "no pods and no pod templates here\n"


@pytest.mark.parametrize("arguments", [[], ["serve"], ["inject"], ["explain"]])
def test_help_works_on_each_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m webhook" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param({}, ["WEBHOOK_CATALOG", "'none'"], id="nothing set"),
        pytest.param(
            {"WEBHOOK_CATALOG": "none", "WEBHOOK_TLS_CERT": "no.crt", "WEBHOOK_TLS_KEY": "no.key"},
            ["WEBHOOK_TLS_CERT='no.crt'", "No such file"],
            id="files that are not there",
        ),
    ],
)
def test_serving_misconfigured_ends_with_2_and_a_sentence(variables: dict[str, str], said: list[str]) -> None:
    command = [sys.executable, "-m", "webhook"]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert [part for part in said if part not in ended.stderr] == []
    assert "Traceback" not in ended.stderr
