//! Depth and trades folded from events.
