"""The backend of mempool.space as its clients see it: frames and REST answers over a simulated node."""
