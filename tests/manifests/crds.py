"""The CRDs as an API server would read them, offline: schema by jsonschema, rules by cel-python.

What only a real server knows (whether the rules' estimated cost fits its budget, defaulting, pruning)
is tested in ``tests/cluster``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celpy
import celpy.celtypes
import jsonschema
import yaml
from celpy.adapter import json_to_cel

ROOT = Path(__file__).parent.parent.parent
TEMPLATES = ROOT / "charts" / "data-sync" / "templates"
PLURALS = {"EdgeDevice": "edgedevices", "EdgeWorkload": "edgeworkloads"}
_CEL = celpy.Environment()


def text(plural: str) -> str:
    """The CRD as the chart's template has it, without the lines that are Helm's."""
    lines = (TEMPLATES / f"crd-{plural}.yaml").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if "{{" not in line)


def document(plural: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text(plural))
    return loaded


@functools.cache
def schema(plural: str) -> dict[str, Any]:
    (version,) = document(plural)["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def faults(resource: dict[str, Any]) -> list[str]:
    """What is wrong with ``resource``, as kubectl (``--validate=strict``) and the API server would say."""
    return schema_faults(resource) or list(_broken_rules(schema(PLURALS[resource["kind"]]), resource, ""))


def schema_faults(resource: dict[str, Any]) -> list[str]:
    """What the schema alone says: cel-python takes minutes to compare fifty mappings with each other."""
    whole = schema(PLURALS[resource["kind"]])
    validator = jsonschema.Draft7Validator(_strict(whole), format_checker=jsonschema.FormatChecker(["date-time"]))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)]


def walk(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within ``node``, and where it is."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from walk(node[key], f"{path}[]")


def _strict(node: dict[str, Any], path: str = "") -> dict[str, Any]:
    """``node`` as a schema that refuses what the API server would prune."""
    result = {key: value for key, value in node.items() if not key.startswith("x-")}
    if "properties" in node:
        result["properties"] = {name: _strict(child, f"{path}.{name}") for name, child in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields") and path:
            result["additionalProperties"] = False
    if "items" in node:
        result["items"] = _strict(node["items"], f"{path}[]")
    return result


def _broken_rules(node: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for rule in node.get("x-kubernetes-validations", []):
        if not _program(rule["rule"]).evaluate({"self": json_to_cel(value)}):
            yield f"{path}: {rule['message']}"
    for name, child in node.get("properties", {}).items():
        if isinstance(value, dict) and name in value:
            yield from _broken_rules(child, value[name], f"{path}.{name}")
    for number, item in enumerate(value if isinstance(value, list) else ()):
        yield from _broken_rules(node["items"], item, f"{path}[{number}]")


@functools.cache
def _program(rule: str) -> Any:
    return _CEL.program(_CEL.compile(rule), functions={"split": _split, "replace": _replace})


def _split(subject: Any, separator: Any) -> Any:
    return celpy.celtypes.ListType([celpy.celtypes.StringType(part) for part in str(subject).split(str(separator))])


def _replace(subject: Any, old: Any, new: Any) -> Any:
    return celpy.celtypes.StringType(str(subject).replace(str(old), str(new)))
