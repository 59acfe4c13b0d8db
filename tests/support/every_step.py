"""Whether tests of products of faults, clients and steps try each combination, or each pair."""

from __future__ import annotations

import os

EVERY_STEP = "EVERY_STEP" in os.environ
