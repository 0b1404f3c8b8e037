"""Devices behind the host port: the RTL in a simulator, and the golden device in a plain loop."""
