"""The matrix of state, segment, position, acknowledgment, window and timestamp, and what the RFCs say of each cell."""
