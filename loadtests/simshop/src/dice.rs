//! Randomness that depends on the seed and the thing drawn for, not on the order of drawing.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What is drawn; each has streams of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Draw {
    World = 1,
    ItemTimes,
    ItemTraits,
    ItemText,
    ItemPicture,
    UserTimes,
    UserTraits,
    Traffic,
    Clicks,
    Pilot,
    Day,
    Visit,
    Before,
    Round,
}

/// The stream of one thing.
pub(crate) fn dice(seed: u64, draw: Draw, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ draw as u64);
    rng.set_stream(index);
    rng
}

/// A number in 0..1.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    rng.random::<f64>()
}

/// A standard normal number.
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}

/// One of a list.
pub(crate) fn pick<'a, T: ?Sized>(rng: &mut ChaCha8Rng, list: &[&'a T]) -> &'a T {
    list[rng.random_range(0..list.len())]
}

/// An index below `count`.
pub(crate) fn below(rng: &mut ChaCha8Rng, count: usize) -> usize {
    rng.random_range(0..count)
}
