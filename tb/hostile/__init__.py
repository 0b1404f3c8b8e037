"""Hostile peers: attack frames beside a session of good connections (`make hostile`)."""
