"""Metrics for Prometheus: what this server does, and what is pending in its database."""
