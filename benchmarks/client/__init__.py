"""The client beside curl, dtool and a client that sends one file after another."""
