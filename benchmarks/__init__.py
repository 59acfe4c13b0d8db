"""The benchmarks of `make bench`; docs/performance.rst says what they measure."""
