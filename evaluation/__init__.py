"""Long checks and benchmarks: run on demand, their figures are kept in docs."""
