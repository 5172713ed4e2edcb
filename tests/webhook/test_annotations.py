"""Annotations: what they say, and one sentence with annotation and value for what they can't say."""

from __future__ import annotations

import pytest

from contract import names
from contract.mapping import Direction, Mapping
from contract.storage import Credentials
from webhook.annotations import Mode, Options, Scope, Volume, VolumeKind, read_options


def test_no_annotations_are_all_defaults() -> None:
    assert read_options({}) == Options()


def test_every_annotation_is_read() -> None:
    options = read_options({
        names.EGRESS: "- source: stats/\n  target: statistics/$(POD_NAME)\n",
        names.INGRESS: '[{"source": "a", "target": "b", "restore": false}]',
        names.WORKLOAD: "web",
        names.DEVICE: "camera-7",
        names.S3_CONFIG_MAP: "c.d",
        names.S3_SECRET: "s",
        names.S3_CREDENTIALS: "chain",
        names.INTERVAL: "1m",
        names.EXPORT_SCOPE: "pod",
        names.VOLUME: "pvc:data",
        names.WAIT_FOR_INGRESS: "true",
        names.SIDECAR_MODE: "classic",
        names.MAPPINGS: "written, not read",
        "example.com/other": "not ours",
    })  # fmt: skip
    assert options == Options(
        egress=(Mapping(Direction.EGRESS, "stats", "statistics/$(POD_NAME)"),),
        ingress=(Mapping(Direction.INGRESS, "a", "b", restore=False),),
        workload="web",
        device="camera-7",
        config_map="c.d",
        secret="s",
        credentials=Credentials.CHAIN,
        interval=60.0,
        scope=Scope.POD,
        volume=Volume(VolumeKind.CLAIM, "data"),
        wait_for_ingress=True,
        mode=Mode.CLASSIC,
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        pytest.param(names.EGRESS, "{source: a}", "a list of", id="a mapping for a list"),
        pytest.param(names.EGRESS, "- [", "no valid YAML", id="cut YAML"),
        pytest.param(names.EGRESS, "a: b: c", "no valid YAML", id="YAML that is none"),
        pytest.param(names.EGRESS, "[{source: a, target: b}]\n---\n[]", "no valid YAML", id="two documents"),
        pytest.param(names.EGRESS, "[" * 5000, "no valid YAML", id="nesting without end"),
        pytest.param(names.EGRESS, "[" * 5000 + "]" * 5000, "no valid YAML", id="deep nesting"),
        pytest.param(names.EGRESS, "1" * 5000, "4300 digits", id="a number beyond all bounds in JSON"),
        pytest.param(names.EGRESS, "- " + "1" * 5000, "no valid YAML", id="a number beyond all bounds in YAML"),
        pytest.param(names.EGRESS, "&a [*a, *a]", "aliases are not allowed", id="an alias"),
        pytest.param(names.EGRESS, "!!python/object:os.system []", "no valid YAML", id="a tag that makes objects"),
        pytest.param(
            names.EGRESS, "[{source: a, source: b, target: c}]", "'source' is there twice", id="a YAML key twice"
        ),
        pytest.param(names.EGRESS, '[{"source":"a","source":"b"}]', "'source' is there twice", id="a JSON key twice"),
        pytest.param(names.EGRESS, " " * 70_000, "longer than 65536", id="too long a text"),
        pytest.param(names.EGRESS, "[{source: ../a, target: b}]", "'..'", id="a path that climbs"),
        pytest.param(names.EGRESS, "[{source: a, target: $(HOME)}]", "$(HOME) is unknown", id="an unknown variable"),
        pytest.param(
            names.EGRESS, "[{source: 2024-01-01, target: 7}]", "'target' is text, not 7", id="a number for a path"
        ),
        pytest.param(names.INGRESS, "[{source: a, target: .data-sync/x}]", "own directory", id="our own directory"),
        pytest.param(names.WORKLOAD, "a.b", "no DNS label", id="a workload of two labels"),
        pytest.param(names.WORKLOAD, "../x", "no DNS label", id="a workload that climbs"),
        pytest.param(names.WORKLOAD, "", "no DNS label", id="an empty workload"),
        pytest.param(names.DEVICE, "a/b", "no resource's name", id="a path for a device"),
        pytest.param(names.S3_CREDENTIALS, "role", "'keys', 'chain'", id="unknown credentials"),
        pytest.param(names.INTERVAL, "1ms", "shorter than", id="too short an interval"),
        pytest.param(names.EXPORT_SCOPE, "node", "'workload', 'pod'", id="an unknown scope"),
        pytest.param(names.VOLUME, "pvc:", "pvc:<claim>", id="a claim without a name"),
        pytest.param(names.VOLUME, "pvc", "pvc:<claim>", id="no claim at all"),
        pytest.param(names.VOLUME, "pvc:../x", "pvc:<claim>", id="a claim that climbs"),
        pytest.param(names.WAIT_FOR_INGRESS, "True", "'true' nor 'false'", id="a capital truth"),
        pytest.param(names.SIDECAR_MODE, "fast", "'auto', 'native', 'classic'", id="an unknown mode"),
    ],
)
def test_a_fault_names_annotation_and_value(key: str, value: str, said: str) -> None:
    (fault,) = read_options({key: value}).faults
    assert key in fault
    assert said in fault
    assert repr(value)[1:60].rstrip("'") in fault
    assert len(fault) < 600


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    levels = "\n".join(f"- &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 20))
    (fault,) = read_options({names.EGRESS: f"- &l0 [x]\n{levels}"}).faults
    assert "aliases are not allowed" in fault


def test_json_escapes_mean_what_json_says() -> None:
    options = read_options({names.EGRESS: r'[{"source": "\ud83d\ude00\/a", "target": "b"}]'})
    assert [mapping.source for mapping in options.egress or ()] == ["\U0001f600/a"]


def test_overlap_across_directions_names_both_annotations() -> None:
    options = read_options(
        {names.EGRESS: "[{source: a, target: b}]", names.INGRESS: "[{source: c, target: a/d}]"},
    )
    (fault,) = options.faults
    assert names.EGRESS in fault
    assert names.INGRESS in fault


def test_all_faults_are_reported_together() -> None:
    assert len(read_options({names.INTERVAL: "x", names.VOLUME: "x", names.EGRESS: "x"}).faults) == 3


def test_keys_with_our_prefix_that_mean_nothing_are_told_apart() -> None:
    assert read_options({f"{names.PREFIX}/egres": "", names.STATUS: ""}).unknown == (f"{names.PREFIX}/egres",)
