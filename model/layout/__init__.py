"""The layout source and the codecs generated from it."""
