"""Whether this server can serve: its database, its tables, and what it knows of its stores."""
