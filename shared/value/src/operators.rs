//! Operators and functions.

use exmex::{BinOp, MakeOperators, Operator};

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    One,
    Two,
    /// Two or more, joined from the left.
    Several,
}

/// Functions and their arguments.
pub(crate) const FUNCTIONS: [(&str, Arguments); 9] = [
    ("abs", Arguments::One),
    ("coalesce", Arguments::Several),
    ("exp", Arguments::One),
    ("ln", Arguments::One),
    ("log1p", Arguments::One),
    ("max", Arguments::Several),
    ("min", Arguments::Several),
    ("pow", Arguments::Two),
    ("sqrt", Arguments::One),
];

/// The operators as the expression library takes them. A missing number is NaN, and what it meets becomes
/// NaN: also the least and the greatest, which in Rust would be the other number.
///
/// `-` binds closer than `+`, and `/` than `*`: the library evaluates runs of one commutative operator first, and
/// `8 / 4 * 2` is 4.
#[derive(Clone, Debug)]
pub(crate) struct Operators;

impl MakeOperators<f64> for Operators {
    fn make<'a>() -> Vec<Operator<'a, f64>> {
        let binary = |apply: fn(f64, f64) -> f64, prio, is_commutative| BinOp {
            apply,
            prio,
            is_commutative,
        };
        vec![
            Operator::make_bin_unary("+", binary(|a, b| a + b, 0, true), |a| a),
            Operator::make_bin_unary("-", binary(|a, b| a - b, 1, false), |a| -a),
            Operator::make_bin("*", binary(|a, b| a * b, 2, true)),
            Operator::make_bin("/", binary(|a, b| a / b, 3, false)),
            Operator::make_unary("abs", f64::abs),
            Operator::make_bin("coalesce", binary(|a, b| if a.is_nan() { b } else { a }, 4, false)),
            Operator::make_unary("exp", f64::exp),
            Operator::make_unary("ln", f64::ln),
            Operator::make_unary("log1p", f64::ln_1p),
            Operator::make_bin("max", binary(greatest, 4, false)),
            Operator::make_bin("min", binary(least, 4, false)),
            Operator::make_bin("pow", binary(f64::powf, 4, false)),
            Operator::make_unary("sqrt", f64::sqrt),
        ]
    }
}

fn greatest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}
