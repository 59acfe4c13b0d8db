"""Temporary shares: local files become a dataset, and anybody with its URLs can download them."""
