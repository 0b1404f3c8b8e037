"""The golden device: everything between the host port and the wire, and the follower that compares RTL with it."""
