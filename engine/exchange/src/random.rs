//! Numbers that look random and are the same on every replay.

/// The output of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014) from a state:
/// the state moves on by 2^64 divided by the golden ratio, and is then mixed.
#[inline]
pub(crate) fn splitmix64(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_sequence() {
        let outputs = [0, 1, 2]
            .map(|step: u64| splitmix64(1_234_567u64.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15))));
        assert_eq!(
            outputs,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}
