"""Maintained stand-ins; the conformance suites hold them to what the real parts do."""
