"""Temporary shares: files deposited by an operator, and links to them."""
