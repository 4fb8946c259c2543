//! Rings, agents, clock, sequencing and the durability gate.
