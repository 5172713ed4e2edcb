"""What the API server says when it refuses: a Status with code, reason and message."""

from __future__ import annotations

from tests.fakes.cluster.resources import Json, ResourceType


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}

    def status(self) -> Json:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def _details(kind: ResourceType, name: str) -> Json:
    return {"name": name, "group": kind.group, "kind": kind.plural}


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def forbidden(kind: ResourceType, name: str, why: str, causes: list[Json] | None = None) -> Refused:
    details = {**_details(kind, name), **({"causes": causes} if causes else {})}
    return Refused(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {why}', details)


def not_found(kind: ResourceType, name: str) -> Refused:
    return Refused(404, "NotFound", f'{kind.qualified} "{name}" not found', _details(kind, name))


def no_such_path() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource")


def exists(kind: ResourceType, name: str) -> Refused:
    return Refused(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', _details(kind, name))


def conflict(kind: ResourceType, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return Refused(409, "Conflict", message, _details(kind, name))


def invalid(kind: ResourceType, name: str, why: str) -> Refused:
    return Refused(422, "Invalid", f'{kind.kind}.{kind.group} "{name}" is invalid: {why}', _details(kind, name))


def gone(message: str) -> Refused:
    return Refused(410, "Expired", message)
