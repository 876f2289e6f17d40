"""A mempool.space one can run anywhere."""
