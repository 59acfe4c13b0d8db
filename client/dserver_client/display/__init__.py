"""Display for people: the progress of transfers, sizes, durations and names."""
