"""The rules: pure functions and frozen values. Time, randomness and I/O are arguments or absent."""
