"""What a bucket deletes by itself, and forgetting what it has deleted."""
