"""Links to who tells us: a mempool.space backend, a recording."""
