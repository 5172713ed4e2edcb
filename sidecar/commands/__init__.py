"""What a person asks of a sidecar's directory, by ``kubectl exec`` beside the one that runs.

Nothing here takes the lock, writes to the index or changes a file or an object, but for ``initialise``,
which is the init container's and not a person's.
"""
