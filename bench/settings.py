"""Owns the settings of a measurement: the project's own, with the ordinary views beside the real ones."""

from trackly.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
