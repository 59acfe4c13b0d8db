"""Signed URLs for readers."""
