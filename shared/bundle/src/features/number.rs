//! From numbers to what a graph reads of them.

use plugrank_contract::feature::Number;

use super::schema::Transform;

/// How the numbers of one feature are written into a row.
#[derive(Debug)]
pub(super) struct NumberCoding {
    transform: Transform,
    missing: f32,
}

impl NumberCoding {
    pub(super) fn new(transform: Option<Transform>, missing: Option<f32>) -> Self {
        let transform = transform.unwrap_or(Transform::None);
        Self { transform, missing: missing.unwrap_or_default() }
    }

    /// The cell of a number: an id, or the bits of an f32.
    pub(super) fn cell(&self, number: Number) -> u32 {
        let x = f64::from(number.as_f32());
        let value = match &self.transform {
            Transform::None => x,
            Transform::Log1p => x.abs().ln_1p().copysign(x),
            Transform::Standard { mean, std } => (x - mean) / std,
            Transform::Buckets(boundaries) => return bucket(boundaries, x),
        };
        let greatest = f64::from(f32::MAX);
        (value.clamp(-greatest, greatest) as f32).to_bits()
    }

    /// The cell of a missing value, and of padding.
    pub(super) fn missing(&self) -> u32 {
        match self.transform {
            Transform::Buckets(_) => 0,
            _ => self.missing.to_bits(),
        }
    }

    /// Cells that a graph must stand: the missing value's, and those of numbers as far out as any that
    /// a model is likely to meet.
    pub(super) fn probes(&self) -> Vec<u32> {
        let ends = match &self.transform {
            Transform::None => [-1e6, 1e6],
            Transform::Standard { mean, std } => [mean - 1e3 * std, mean + 1e3 * std],
            Transform::Log1p | Transform::Buckets(_) => [-f64::from(f32::MAX), f32::MAX.into()],
        };
        let cells = ends.into_iter().filter_map(Number::new).map(|end| self.cell(end));
        std::iter::once(self.missing()).chain(cells).collect()
    }
}

fn bucket(boundaries: &[f64], x: f64) -> u32 {
    let below = boundaries.partition_point(|boundary| *boundary <= x);
    u32::try_from(below + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: f64) -> Number {
        Number::new(number).unwrap()
    }

    fn read(transform: Transform, of: f64) -> f32 {
        f32::from_bits(NumberCoding::new(Some(transform), None).cell(number(of)))
    }

    #[test]
    fn transforms_follow_the_bundle_format() {
        assert_eq!(read(Transform::None, 0.1), 0.1);
        assert_eq!(read(Transform::Log1p, 1.0), std::f32::consts::LN_2);
        assert_eq!(read(Transform::Log1p, -1.0), -std::f32::consts::LN_2);
        let standard = |mean, std| Transform::Standard { mean, std };
        assert_eq!(read(standard(1.0, 2.0), 4.0), 1.5);
        // The value is an f32 first: 16,777,217 is none.
        assert_eq!(read(standard(16_777_216.0, 1.0), 16_777_217.0), 0.0);
        assert_eq!(read(standard(0.0, 1e-30), 1e30), f32::MAX);
    }

    #[test]
    fn a_boundary_belongs_to_the_bucket_above_it() {
        let buckets = NumberCoding::new(Some(Transform::Buckets(vec![0.0, 1.5])), Some(7.0));
        let ids = [-1.0, 0.0, 1.0, 1.5, 9.0].map(|x| buckets.cell(number(x)));
        assert_eq!(ids, [1, 2, 2, 3, 3]);
        assert_eq!(buckets.missing(), 0);
        assert_eq!(buckets.probes(), [0, 1, 3]);
    }

    #[test]
    fn a_missing_number_has_the_default_of_the_bundle() {
        let coding = NumberCoding::new(Some(Transform::Log1p), Some(-1.0));
        assert_eq!(f32::from_bits(coding.missing()), -1.0);
    }
}
