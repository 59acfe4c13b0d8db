"""A search and a retrieve plugin for dserver that keep their index in dserver's SQL database."""

from dserver_sql_index import autogenerate  # noqa: F401 (adapts the revisions of hosts)
from dserver_sql_index.retrieve import SQLRetrieve
from dserver_sql_index.search import SQLSearch

__all__ = ["SQLRetrieve", "SQLSearch", "__version__"]

# Read by pyproject.toml, and by dserver for /config/versions.
__version__ = "0.2.0"
