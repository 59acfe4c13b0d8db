"""Transfers between local files and the store, by signed URLs."""
