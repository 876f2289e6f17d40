"""Use cases, and in ports.py what they need from the world."""
