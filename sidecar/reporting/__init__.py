"""What people and machines are told: counts, states and their words, ``/status``, metrics, last words."""
