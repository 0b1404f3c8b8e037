"""Properties of a whole connection: drawn scenarios, played on the golden device or inside a running RTL simulation."""
