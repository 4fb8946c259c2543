//! Segments, group commit, recovery and replay.
