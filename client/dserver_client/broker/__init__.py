"""The storage broker with which released dtool works on ``dserver://`` URIs."""
