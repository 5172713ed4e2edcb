"""What `helm test` runs inside a pod that the webhook should have injected.

Standard library only. Waits for the sidecar beside it, and, told by OUTBOX, for a file of its own to
be in the bucket. Prints what it sees; exit 0 when all is well, 1 with a sentence when not.
"""

import json
import os
import sys
import time
import urllib.request

STATUS = os.environ.get("STATUS_URL", "http://127.0.0.1:9346/status")
EXPORT = os.environ.get("EXPORT_DIR", "/export")
OUTBOX = os.environ.get("OUTBOX", "")  # directory below EXPORT that is sent
PATIENCE = float(os.environ.get("PATIENCE", "120"))  # seconds


def main():
    if not os.path.isdir(EXPORT):
        return f"{EXPORT} is not there: the webhook did not inject this pod; see its log, and docs/OPERATIONS.md"
    if not wait(lambda _status: True):
        return "the sidecar does not answer; see its log: kubectl logs POD -c data-sync"
    print(f"admitted: {EXPORT} is mounted and the sidecar answers")
    if OUTBOX:
        return synced()
    return None


def synced():
    name = f"{EXPORT}/{OUTBOX}/{os.environ.get('HOSTNAME', 'pod')}-{time.time_ns()}.txt"
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "w") as file:
        file.write("written by helm test\n")
    cycle = ask().get("cycle") or 0
    if not wait(lambda status: sent(status, cycle)):
        return f"{name} was not sent; the sidecar says: {json.dumps(ask())}"
    print(f"synced: {name} is in the bucket")
    return None


def sent(status, cycle):
    """Whether a whole cycle, begun after the file was written, left nothing behind."""
    mappings = [one for one in status.get("mappings", []) if one.get("direction") == "egress"]
    done = (status.get("cycle") or 0) >= cycle + 2
    return done and bool(mappings) and all(one.get("last_success") and not one["pending_files"] for one in mappings)


def wait(good):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if good(ask()):
                return True
        except OSError:
            pass
        time.sleep(1)
    return False


def ask():
    with urllib.request.urlopen(STATUS, timeout=5) as answer:
        return json.load(answer)


if __name__ == "__main__":
    fault = main()
    if fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
