"""X without a screen: a virtual display, what stands on it as PNG, and GTKWave on it."""
