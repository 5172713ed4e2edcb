"""Violence, seeded: sidecars killed at random instants on a tree and a bucket under constant change.

``python -m tests.torture --seed N --minutes M`` is the long form (``make torture``), ``test_short.py``
the short one. ``run`` is one run; ``workload`` and ``strangers`` change the two sides and tell the
``ledger`` what they wrote and what they destroyed themselves; ``killer`` starts and kills the sidecars;
``onlooker`` looks for what must never be visible; ``proof`` says, after all has settled, what was lost.
"""
