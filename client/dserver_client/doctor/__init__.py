"""Checks of everything that a transfer needs; each returns findings with advice."""
