"""A dserver on one machine: SQLite, a local S3 or Azure store, and a search index in SQL.

For trying out the plugin, for tests and for benchmarks; the rest of the package does not import it.
"""
