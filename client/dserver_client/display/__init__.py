"""What people are shown: the progress of a transfer, sizes, durations, names."""
