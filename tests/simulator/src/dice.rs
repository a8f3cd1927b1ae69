//! Repeatable chance: every draw is a function of a seed, a stream and an index.
//!
//! Owns the mixing function (splitmix64, fixed for ever so that a seed means the same history on
//! every machine and in every version). Must not know what is drawn.

use crate::numbers::unit;

/// Draws for one subject: the same seed, stream and index always give the same sequence.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, stream: u64, index: u64) -> Self {
        Self(mix(mix(seed ^ scramble(stream)) ^ index))
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        finish(self.0)
    }

    /// Uniform in 0 (included) to 1 (excluded).
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.draw())
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0 (included) to `limit` (excluded); 0 when the limit is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The high half of a 128-bit product: no division, no bias worth naming.
        let wide = u128::from(self.draw()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `from`, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let at = self.below(u64::try_from(from.len()).unwrap_or(u64::MAX));
        from[usize::try_from(at).unwrap_or(0)]
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One 64-bit hash of a 64-bit value.
pub(crate) fn mix(value: u64) -> u64 {
    finish(value.wrapping_add(GOLDEN))
}

fn scramble(stream: u64) -> u64 {
    stream.wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_stream_and_index_draw_the_same() {
        let draws = |mut dice: Dice| [dice.draw(), dice.draw(), dice.draw()];
        assert_eq!(draws(Dice::new(7, 1, 2)), draws(Dice::new(7, 1, 2)));
        assert_ne!(draws(Dice::new(7, 1, 2)), draws(Dice::new(8, 1, 2)));
        assert_ne!(draws(Dice::new(7, 1, 2)), draws(Dice::new(7, 2, 2)));
        assert_ne!(draws(Dice::new(7, 1, 2)), draws(Dice::new(7, 1, 3)));
    }

    #[test]
    fn a_seed_means_the_same_draws_in_every_version() {
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn draws_stay_inside_their_bounds() {
        let mut dice = Dice::new(1, 2, 3);
        for _ in 0..10_000 {
            assert!(dice.below(7) < 7);
            let drawn = dice.between(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&drawn));
        }
        assert_eq!(dice.below(0), 0);
    }
}
