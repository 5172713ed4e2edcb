"""What every long-lived process needs: logs, endpoints for probes and metrics, an orderly end."""

VERSION = "0.1.0"
