"""The operator's doors: `flask pending_upload …` and `flask signed_url …`.

Another way into the same services: knows options and words, decides nothing.
"""
