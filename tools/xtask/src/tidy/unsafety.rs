//! `unsafe` stands only in few named files, each for a reason.

use super::Finding;
use super::rust::{self, Code};
use super::tree::Tree;

/// Files that may hold `unsafe`, and why each must. A file that needs it no longer leaves the list.
pub const ALLOWED: &[(&str, &str)] = &[
    (
        "benches/yardstick/src/abi.rs",
        "the C interface of a public benchmark; the crate is no part of the exchange",
    ),
    (
        "engine/machine/src/prefetch.rs",
        "a processor's hint that safe Rust has no word for; it changes nothing",
    ),
    ("journal/benches/src/main.rs", "maps a file of its own, to measure msync beside the journal"),
    ("journal/src/disk.rs", "two system calls that std does not offer: posix_fallocate and statvfs"),
    (
        "journal/src/mapped.rs",
        "maps segments for reading, and a signal handler that makes a missing page an error of the read",
    ),
    ("sequencer/src/bus.rs", "a signal handler for SIGBUS: sigaction, write and _exit"),
    ("sequencer/src/ring/broadcast.rs", "reads records in place, below the tail that it has acquired"),
    ("sequencer/src/ring/frames.rs", "passes reading in place on, with its contract"),
    (
        "sequencer/src/ring/memory.rs",
        "sees a mapped file as atomics and lends it; the only mapping of the rings",
    ),
    (
        "sequencer/src/scheduling.rs",
        "a system call that std does not offer: sched_setattr, for a thread's time slice",
    ),
    ("tools/pages/src/lib.rs", "a global allocator over mmap; GlobalAlloc is an unsafe trait"),
    ("tools/testkit/src/allocation.rs", "a global allocator that counts; GlobalAlloc is an unsafe trait"),
];

/// Compares the files that hold `unsafe` with the list.
pub fn check(tree: &Tree, allowed: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut holders = Vec::new();
    for (path, text) in tree.texts(".rs") {
        // What is not Rust is named by the rule on functions.
        let Ok(tokens) = rust::tokens(text, Code::All) else { continue };
        if let Some(token) = tokens.iter().find(|token| token.text == "unsafe") {
            holders.push((path, token.line));
        }
    }
    for (path, line) in &holders {
        if !allowed.iter().any(|(listed, _)| listed == path) {
            let message = "holds `unsafe` and is not on the list in tools/xtask/src/tidy/unsafety.rs: find a safe \
                           way, or add the file with its reason";
            findings.push(Finding::new(*path, *line, message));
        }
    }
    for (path, reason) in allowed {
        if reason.len() < 20 {
            findings.push(Finding::new(*path, 0, "is on the list of `unsafe` files without a reason"));
        }
        if !holders.iter().any(|(holder, _)| holder == path) {
            findings.push(Finding::new(
                *path,
                0,
                "is on the list of `unsafe` files but holds none: take it off",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: &str = "maps the file that is the ring";

    #[test]
    fn unsafe_outside_the_list_is_found_also_in_tests_and_macros() {
        for bad in [
            "fn f() { unsafe { g() } }",
            "#[cfg(test)] mod t { unsafe impl Send for X {} }",
            "m!(unsafe { g() });",
            "#[unsafe(no_mangle)] fn f() {}",
        ] {
            assert_eq!(check(&Tree::of(&[("a.rs", bad)]), &[]).len(), 1, "{bad}");
            assert!(check(&Tree::of(&[("a.rs", bad)]), &[("a.rs", REASON)]).is_empty(), "{bad}");
        }
        let good = "#![forbid(unsafe_code)]\n//! No unsafe.\nconst X: &str = \"unsafe\";";
        assert!(check(&Tree::of(&[("a.rs", good)]), &[]).is_empty());
    }

    #[test]
    fn a_listed_file_must_exist_hold_unsafe_and_have_a_reason() {
        assert_eq!(check(&Tree::of(&[("a.rs", "")]), &[("a.rs", REASON)]).len(), 1);
        assert_eq!(check(&Tree::of(&[]), &[("a.rs", REASON)]).len(), 1);
        assert_eq!(check(&Tree::of(&[("a.rs", "unsafe fn f() {}")]), &[("a.rs", "ring")]).len(), 1);
    }
}
