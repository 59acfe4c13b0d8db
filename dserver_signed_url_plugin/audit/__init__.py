"""Decisions: who was granted or refused what."""
