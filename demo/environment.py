"""A container's environment and command as kubelet makes them: ``valueFrom`` and ``$(NAME)``.

Pure. It is stricter than kubelet in one thing: a reference to a variable that is not there is an
error, where kubelet would pass it on unexpanded. Neighbours: ``runner`` starts processes with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from demo.errors import NotRunnable
from demo.facts import Facts, Json


def environment(container: Json, pod: Json, facts: Facts) -> dict[str, str]:
    """The variables of ``container``, in their order: a later one may refer to an earlier one.

    Raises:
        NotRunnable: a variable cannot be resolved; the message names it and its container.
    """
    if container.get("envFrom"):
        raise NotRunnable(f"container {container['name']}: envFrom is not understood here")
    found: dict[str, str] = {}
    for variable in container.get("env") or []:
        where = f"container {container['name']}, variable {variable['name']}"
        try:
            if "valueFrom" in variable:
                text = _referred(variable["valueFrom"], pod, facts)
                if text is None:
                    continue  # optional and absent: kubelet leaves the variable out
            else:
                text = expand(variable.get("value") or "", found)
        except NotRunnable as error:
            raise NotRunnable(f"{where}: {error}") from error
        found[variable["name"]] = text
    return found


def command(container: Json, env: Mapping[str, str]) -> list[str]:
    """``command`` and ``args`` of ``container``, expanded.

    Raises:
        NotRunnable: a variable in them is not there.
    """
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    try:
        return [expand(str(word), env) for word in words]
    except NotRunnable as error:
        raise NotRunnable(f"container {container['name']}, command: {error}") from error


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with ``$(NAME)`` filled in and every ``$$`` made one ``$``, as kubelet does.

    A ``$`` before anything else, and an opened ``$(`` that never closes, stay as they are.

    Raises:
        NotRunnable: NAME is not among ``variables``.
    """
    parts: list[str] = []
    place = 0
    while (dollar := text.find("$", place)) >= 0 and dollar + 1 < len(text):
        parts.append(text[place:dollar])
        part, place = _operator(text, dollar, variables)
        parts.append(part)
    return "".join(parts) + text[place:]


def _operator(text: str, dollar: int, variables: Mapping[str, str]) -> tuple[str, int]:
    """What the ``$`` at ``dollar`` and what follows become, and where to read on."""
    follower = text[dollar + 1]
    if follower == "$":
        return "$", dollar + 2
    closing = text.find(")", dollar) if follower == "(" else -1
    if closing < 0:
        return "$" + follower, dollar + 2
    name = text[dollar + 2 : closing]
    if name not in variables:
        raise NotRunnable(f"$({name}) in {text!r} names no earlier variable")
    return variables[name], closing + 1


def _referred(source: Json, pod: Json, facts: Facts) -> str | None:
    kind, reference = next(iter(source.items()))
    if kind == "fieldRef":
        return facts.field(pod, reference["fieldPath"])
    kinds = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
    if kind not in kinds:
        raise NotRunnable(f"valueFrom {kind!r} is not understood here")
    texts = facts.texts(kinds[kind], reference["name"])
    if texts is not None and reference["key"] in texts:
        return texts[reference["key"]]
    if reference.get("optional"):
        return None
    lack = f"has no key {reference['key']!r}" if texts is not None else "does not exist"
    raise NotRunnable(f"{kinds[kind]} {reference['name']!r} {lack}")
