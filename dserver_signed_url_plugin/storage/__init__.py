"""Storages: S3, Azure and storage brokers of dtool, behind the same protocols."""
