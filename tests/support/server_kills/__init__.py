"""Kills one of three servers while people deposit, starts it again, and looks for what was lost.

``python -m tests.support.server_kills 50`` does so fifty times; a test does it twice.
"""
