"""Stores, one package or module for each kind, all behind the same protocols (base)."""
