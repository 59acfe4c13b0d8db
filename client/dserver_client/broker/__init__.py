"""dtool's storage broker for ``dserver://``: what released dtool needs to work on it."""
