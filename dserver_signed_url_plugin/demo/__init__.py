"""An embedded dserver for one machine: SQLite, a local S3 store, an index kept in SQL.

For trying out, tests and benchmarks. Nothing outside this room imports it.
"""
