"""What surrounds a device in every run: the host side above it, the network and the peer behind it."""
