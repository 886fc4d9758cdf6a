//! How much two tensors differ.

use plugrank_bundle::TensorDtype;

use crate::TensorData;

/// Where two tensors differ most, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    /// Which element.
    pub(super) at: usize,
    /// Absolute; NaN where only one of the two is a number.
    pub(super) largest: f64,
}

/// Where two tensors of the same length differ most. In f16 one unit in the last place is forgiven:
/// whether a value rounds up or down there is decided by bits that no two machines agree on.
pub(super) fn difference(got: &TensorData, expected: &TensorData) -> Difference {
    let half = got.dtype() == TensorDtype::F16;
    let mut worst = Difference { at: 0, largest: 0.0 };
    for (at, (a, b)) in got.to_f64().into_iter().zip(expected.to_f64()).enumerate() {
        if a == b {
            continue;
        }
        let forgiven = if half { a.abs().max(b.abs()) * 2f64.powi(-10) } else { 0.0 };
        let largest = (a - b).abs() - forgiven;
        if largest.is_nan() {
            return Difference { at, largest };
        }
        if largest > worst.largest {
            worst = Difference { at, largest };
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::{Difference, difference};
    use crate::TensorData;

    #[test]
    fn differences_are_measured() {
        let f32s = |values: &[f32]| TensorData::F32(values.to_vec());
        let between = |a: &[f32], b: &[f32]| difference(&f32s(a), &f32s(b));
        assert_eq!(between(&[1.0, 2.0], &[1.0, 2.0]), Difference { at: 0, largest: 0.0 });
        assert_eq!(between(&[1.0, 2.5], &[1.0, 2.0]), Difference { at: 1, largest: 0.5 });
        assert!(between(&[f32::NAN], &[2.0]).largest.is_nan());
        assert_eq!(between(&[f32::INFINITY], &[2.0]).largest, f64::INFINITY);
    }

    #[test]
    fn one_unit_in_the_last_place_of_f16_is_tolerated() {
        let value = f16::from_f32(1.5);
        let next = f16::from_bits(value.to_bits() + 1);
        let further = f16::from_bits(value.to_bits() + 4);
        let tensor = |value| TensorData::F16(vec![value]);
        assert_eq!(difference(&tensor(value), &tensor(next)).largest, 0.0);
        assert!(difference(&tensor(value), &tensor(further)).largest > 1e-3);
        let infinite = difference(&tensor(f16::INFINITY), &tensor(value)).largest;
        assert!(infinite.is_nan(), "{infinite}");
    }
}
