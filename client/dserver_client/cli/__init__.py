"""The command ``dserver``."""
