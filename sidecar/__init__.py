"""The sidecar: moves files between the exported directory and the bucket. See ``docs/ARCHITECTURE.md``."""
