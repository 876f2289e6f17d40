"""Who moves bitcoin in the simulation, why, and what really happened to it.

Nothing here knows the detector: its model (domain.flow, change, shapes, confirmation) may not be imported,
and no constant is shared. A model that scores well only on its author's world is worth nothing.
"""
