"""What is made from the chart: ``manifests/``, the README's table of values. Not part of any image."""
