"""What can go wrong with the API server; the class says what to do.

::

    ClusterError
    ├── Unavailable      no answer, or one that says later: try again, and it will pass
    ├── Conflict         somebody was faster: look again, then decide again
    │   └── Exists       what was to be created is there already
    ├── NotFound         the object, or its whole resource, is not there
    ├── Gone             the list or watch is too old: begin anew
    ├── Forbidden        our rights do not allow it, or the namespace is ending
    │   └── Terminating  … the namespace is ending
    └── Invalid          the API server will never take this
"""

from __future__ import annotations


class ClusterError(Exception):
    """A call that failed: ``operation`` on ``subject``, and what the API server said."""

    def __init__(self, operation: str, subject: str, message: str) -> None:
        super().__init__(f"{operation} {subject}: {message}")
        self.operation, self.subject, self.message = operation, subject, message


class Unavailable(ClusterError):
    """No answer, or one that says later."""


class Conflict(ClusterError):
    """The object changed since it was read, or is another one of that name by now."""


class Exists(Conflict):
    """There is an object of that name already."""


class NotFound(ClusterError):
    """No such object, or no such resource in this cluster."""


class Gone(ClusterError):
    """A continued list is older than what the API server remembers."""


class Forbidden(ClusterError):
    """Not allowed."""


class Terminating(Forbidden):
    """Nothing new is created in a namespace that is being deleted."""


class Invalid(ClusterError):
    """Refused for what it is: by the schema, by a rule, or by admission."""
