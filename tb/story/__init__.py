"""A failure as a story: what must hold, where it first does not, what happened before, and how to see it again."""
