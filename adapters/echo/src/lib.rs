//! The adapter template: a service on the same core.
