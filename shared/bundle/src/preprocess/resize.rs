//! Pillow's bilinear resize, bit for bit.
//!
//! Written here because no library equals it: `fast_image_resize` weighs with 16-bit numbers and
//! comes out one level off in one pixel of twenty, which the encoder would see and training did not.

/// Bits after the point of a weight; `PRECISION_BITS` in Pillow's `Resample.c`.
const PRECISION: u32 = 22;

/// An RGB image: width and height in pixels, bytes row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rgb {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bytes: Vec<u8>,
}

impl Rgb {
    /// The image in another size: across, rounded to bytes, and then down, as Pillow does.
    pub(super) fn resize(self, width: usize, height: usize) -> Self {
        let across = if width == self.width { self } else { self.resize_across(width) };
        if height == across.height { across } else { across.resize_down(height) }
    }

    fn resize_across(self, width: usize) -> Self {
        let windows = windows(self.width, width);
        let mut bytes = Vec::with_capacity(3 * width * self.height);
        for row in self.bytes.chunks_exact(3 * self.width.max(1)) {
            for window in &windows {
                let pixels = row[3 * window.begin..].chunks_exact(3);
                let mut sums = [HALF; 3];
                for (pixel, weight) in pixels.zip(&window.weights) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(*value) * weight;
                    }
                }
                bytes.extend(sums.map(rounded));
            }
        }
        Self { width, height: self.height, bytes }
    }

    fn resize_down(self, height: usize) -> Self {
        let stride = 3 * self.width;
        let mut bytes = Vec::with_capacity(stride * height);
        let mut sums = vec![HALF; stride];
        for window in windows(self.height, height) {
            sums.fill(HALF);
            let rows = self.bytes[stride * window.begin..].chunks_exact(stride.max(1));
            for (row, weight) in rows.zip(&window.weights) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += i32::from(*value) * weight;
                }
            }
            bytes.extend(sums.iter().copied().map(rounded));
        }
        Self { width: self.width, height, bytes }
    }
}

const HALF: i32 = 1 << (PRECISION - 1);

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// What one target pixel is made of.
struct Window {
    /// First source pixel.
    begin: usize,
    /// Weights of the source pixels from there, which add up to about `1 << PRECISION`.
    weights: Vec<i32>,
}

/// A triangle as wide as the reduction around each target pixel; `precompute_coeffs` and
/// `normalize_coeffs_8bpc` in Pillow's `Resample.c`.
fn windows(source: usize, target: usize) -> Vec<Window> {
    let scale = source as f64 / target as f64;
    let support = scale.max(1.0);
    let window = |place: usize| {
        let center = (place as f64 + 0.5) * scale;
        let begin = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(source);
        let weights = (begin..end).map(|pixel| {
            let distance = ((pixel as f64 - center + 0.5) * (1.0 / support)).abs();
            (1.0 - distance).max(0.0)
        });
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| (0.5 + weight / sum * f64::from(1 << PRECISION)) as i32;
        Window { begin, weights: weights.into_iter().map(fixed).collect() }
    };
    (0..target).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::Rgb;

    fn grey(width: usize, levels: &[u8]) -> Rgb {
        let bytes: Vec<u8> = levels.iter().flat_map(|level| [*level; 3]).collect();
        Rgb { width, height: levels.len() / width, bytes }
    }

    #[test]
    fn halving_averages_neighbouring_pixels() {
        let row = grey(4, &[0, 80, 160, 240]);
        assert_eq!(row.resize(2, 1), grey(2, &[57, 183]));
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let image = grey(2, &[1, 2, 3, 250]);
        assert_eq!(image.clone().resize(2, 2), image);
    }

    #[test]
    fn one_pixel_is_scaled_to_any_size() {
        assert_eq!(grey(1, &[77]).resize(3, 2), grey(3, &[77; 6]));
    }
}
