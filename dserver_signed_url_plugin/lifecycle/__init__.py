"""Lifecycle rules of buckets, and unregistering the datasets that they have deleted."""
