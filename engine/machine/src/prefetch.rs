//! A hint to the processor: the one thing that the engine wants to say and safe Rust has no word for.

/// Asks for the line of memory where a value begins, so that it is near when it is read or written soon. Nothing waits for
/// it, and nothing that the program can see depends on it. Where there is no such instruction it does nothing.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction belongs to SSE, which every x86_64 has, and is a hint about an address: it changes no memory
    // and no register and cannot fault. This address is even that of a live value.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes() {
        let values = [1u64, 2, 3];
        values.iter().for_each(prefetch);
        assert_eq!(values, [1, 2, 3]);
    }
}
