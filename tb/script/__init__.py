"""Traces and scripts of TCP played against a device: the peer's segments, the application's calls, what must go out."""
