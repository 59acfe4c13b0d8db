"""An embedded dserver for one machine: SQLite, a local store (S3 or Azure), an index kept in SQL.

For trying out, tests and benchmarks. Nothing outside this room imports it.
"""
