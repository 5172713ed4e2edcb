"""What a reason means in words, and what a person can do about it.

The reasons are those of ``sidecar/errors.py`` and of the walk; they label ``file_errors_total`` and
stand on ``/status`` and its page. A test holds this table complete. It decides nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Advice(NamedTuple):
    """``words``: what happened; ``action``: what to do, or why nothing needs to be done."""

    words: str
    action: str


ADVICE: Final[dict[str, Advice]] = {
    "access_denied": Advice(
        "The bucket does not accept the keys",
        "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the Secret, and the bucket's policy. "
        "New keys are picked up without a restart.",
    ),
    "changed_remotely": Advice(
        "Someone else wrote the object meanwhile", "Nothing: the next cycle decides anew and keeps both versions."
    ),
    "changed_while_reading": Advice(
        "The file is being written", "Nothing: it is sent when it rests, after five minutes as a snapshot."
    ),
    "clock_skew": Advice(
        "The device's clock is too far off", "Set the device's clock, for example with NTP: S3 refuses such requests."
    ),
    "contended": Advice(
        "Another writer keeps changing the same object",
        "Give each writer a prefix of its own, such as statistics/$(NODE_NAME).",
    ),
    "corrupted": Advice(
        "What arrived is not what was announced", "Nothing at first: it is fetched again. If it stays, look at proxies."
    ),
    "delete_held": Advice(
        "Removals are held back, since they may be a fault",
        "Check the directory and the bucket. If they are meant, set deleteLimit in the mapping for one cycle.",
    ),
    "error": Advice("It did not work", "Look at the sidecar's log."),
    "foreign_directory": Advice(
        "The directory belongs to another workload", "Choose another workload name, or move the old directory away."
    ),
    "ignore_file": Advice(
        "The ignore file cannot be used", "Mend or remove .data-syncignore; until then its mapping is not synced."
    ),
    "index": Advice(
        "The index could not be used", "Nothing: it is rebuilt. If it comes back, check the disk of the device."
    ),
    "internal": Advice("A mistake inside data-sync", "Please report it with the traceback from the log."),
    "listing_order": Advice("The server lists in no order", "Nothing: the listing is sorted on the device."),
    "local": Advice(
        "The device's file system refused", "Check permissions and the disk below /export; the error has the cause."
    ),
    "misconfigured": Advice("The storage is not configured correctly", "Check the ConfigMap: the error names the key."),
    "missing_source": Advice(
        "The source directory is not there", "Nothing if the workload makes it later; else correct the mapping."
    ),
    "name_too_long": Advice("The name is too long for an object", "Rename the file, or choose a shorter target."),
    "no_room": Advice(
        "The device must keep its space",
        "Free space on the device; or raise DATA_SYNC_INGRESS_MAX_BYTES, or lower DATA_SYNC_MIN_FREE.",
    ),
    "no_such_bucket": Advice("The bucket does not exist", "Create the bucket, or correct BUCKET_NAME."),
    "no_thread": Advice(
        "A larger file needs a thread, and the pod may have no more", "Raise the pod's limit of processes (pids)."
    ),
    "not_a_directory": Advice("A file is where a directory should be", "Move it away; or rename the object."),
    "not_a_file": Advice("Something that is no regular file is in the way", "Move it away; it is never replaced."),
    "not_found": Advice("The object is gone", "Nothing: the next cycle lists anew."),
    "not_utf8": Advice("The file's name is no UTF-8", "Rename the file: an object's name must be text."),
    "quarantined": Advice("The name cannot exist on the other side", "Rename it; names are never repaired."),
    "refused": Advice("The server refused", "The error has the server's words; the next cycle tries again."),
    "request_budget": Advice(
        "The requests of this day are spent",
        "Nothing: it goes on at midnight UTC. Or raise DATA_SYNC_REQUEST_BUDGET, or lengthen the interval.",
    ),
    "server": Advice("The server has a fault", "Usually nothing: it is tried again. If it stays, look at the server."),
    "settling": Advice(
        "The file was changed a moment ago",
        "Nothing: it goes once it was quiet for the mapping's settle time, or after five minutes.",
    ),
    "stopping": Advice("The sidecar was stopped", "Nothing: the next sidecar on this directory goes on."),
    "throttled": Advice("The server asks to slow down", "Nothing at first. If it stays, lengthen the interval."),
    "tls": Advice(
        "The server's certificate is not trusted",
        "Put the server's CA into tls.crt of the Secret, or correct BUCKET_SCHEME.",
    ),
    "unreachable": Advice(
        "The server cannot be reached", "Check the network, BUCKET_HOST and BUCKET_PORT. Files wait on the device."
    ),
    "unreadable": Advice("The file cannot be read", "Give the sidecar's user the right to read it."),
    "vanished": Advice("The file was removed while it was looked at", "Nothing: there is nothing left to send."),
}


def advice(reason: str) -> Advice:
    """Words and action for ``reason``."""
    return ADVICE.get(reason, ADVICE["error"])
