//! A number as it was given: neither its digits nor its fraction are lost.

use std::fmt;

/// A number that a feature may have: a whole number of 64 bits, exactly, or any other number that is
/// finite as an f32.
///
/// A model reads it as an f32 where the feature is a number and as decimal text where it is a category.
/// Equal numbers are equal however they were written.
///
/// ```
/// use plugrank_contract::feature::Number;
///
/// assert_eq!(Number::new(3.0), Some(Number::from(3_i64)));
/// assert_eq!(Number::from(9_007_199_254_740_993_i64).to_string(), "9007199254740993");
/// assert_eq!(Number::new(0.1).unwrap().to_string(), "0.1");
/// assert_eq!([f64::NAN, f64::INFINITY, 1e39].map(Number::new), [None; 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Integer(i64),
    /// Above [`i64::MAX`].
    Large(u64),
    /// The bits of an f64 that is none of the above.
    Real(u64),
}

/// How a number is written for other programs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Written {
    Integer(i64),
    Large(u64),
    Real(f64),
}

/// Whole numbers up to here are f64 exactly.
const EXACT: f64 = (1_u64 << 53) as f64;

impl Number {
    /// A number; `None` for one that no feature has: NaN, and what is infinite as an f32.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        if !(number as f32).is_finite() {
            return None;
        }
        if number.fract() == 0.0 && number.abs() <= EXACT {
            return Some(Self(Form::Integer(number as i64)));
        }
        Some(Self(Form::Real(number.to_bits())))
    }

    /// The number, rounded where it has more than 53 bits.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Form::Integer(number) => number as f64,
            Form::Large(number) => number as f64,
            Form::Real(bits) => f64::from_bits(bits),
        }
    }

    /// The number as models and filters read it; finite.
    #[must_use]
    pub fn as_f32(self) -> f32 {
        match self.0 {
            Form::Integer(number) => number as f32,
            Form::Large(number) => number as f32,
            Form::Real(bits) => f64::from_bits(bits) as f32,
        }
    }

    /// The number, where it is a whole one of 64 bits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Form::Integer(number) => Some(number),
            Form::Large(_) | Form::Real(_) => None,
        }
    }

    /// The number, where it is a whole one of 64 bits without a sign.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        match self.0 {
            Form::Integer(number) => number.try_into().ok(),
            Form::Large(number) => Some(number),
            Form::Real(_) => None,
        }
    }

    pub(super) fn written(self) -> Written {
        match self.0 {
            Form::Integer(number) => Written::Integer(number),
            Form::Large(number) => Written::Large(number),
            Form::Real(bits) => Written::Real(f64::from_bits(bits)),
        }
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(Form::Integer(number))
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(i64::try_from(number).map_or(Form::Large(number), Form::Integer))
    }
}

/// Decimal text without an exponent: whole numbers without a fraction, others with the fewest digits
/// that read back as the same f64.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.written() {
            Written::Integer(number) => number.fmt(f),
            Written::Large(number) => number.fmt(f),
            Written::Real(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn text(number: f64) -> String {
        Number::new(number).unwrap().to_string()
    }

    #[test]
    fn text_has_no_exponent_and_no_needless_fraction() {
        let found = [3.0, -0.0, 0.1, 1e-5, 1e23, -2.5, 0.1_f32.into()].map(text);
        let expected =
            ["3", "0", "0.1", "0.00001", "100000000000000000000000", "-2.5", "0.10000000149011612"];
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_read_by_a_model_are_finite() {
        for number in [Number::from(u64::MAX), i64::MIN.into(), Number::new(-3.4e38).unwrap()] {
            assert!(number.as_f32().is_finite() && number.as_f64().is_finite());
        }
        assert_eq!(Number::new(f64::from(f32::MAX)).unwrap().as_f32(), f32::MAX);
        assert_eq!(Number::new(3.5e38), None);
    }
}
