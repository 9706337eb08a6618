"""What holds for every test: Hypothesis judges results, never the speed of the machine."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Before torch is imported: on a busy machine, threads that spin at every barrier take the other tests' time.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

settings.register_profile("house", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
