//! Counting allocator, temporary folders, scenario files, data paths.
