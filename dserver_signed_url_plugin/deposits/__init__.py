"""Deposits from dserver's own shell: what `flask temp_share` deposits, lists and ends."""
