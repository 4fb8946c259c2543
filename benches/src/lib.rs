//! Criterion benchmarks and side-by-side runs.
