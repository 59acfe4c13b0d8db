"""Shares: links by which people without an account read a dataset, or some of its items."""
