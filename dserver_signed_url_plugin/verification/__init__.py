"""Comparing frozen datasets with their manifests, by reading every byte from the store."""
