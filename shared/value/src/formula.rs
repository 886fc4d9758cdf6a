//! A formula that was read.

use std::{fmt, str::FromStr, sync::Arc};

use exmex::{Express, FlatEx};

use crate::{
    error::{FormulaError, MOST_BYTES, MOST_OPERANDS},
    name::ValueName,
    operators::Operators,
    rewrite::rewrite,
};

/// What an item is worth, as a formula of probabilities and numbers.
///
/// It has numbers, `+ - * /`, parentheses, the functions `abs`, `coalesce`, `exp`, `ln`, `log1p`, `max`, `min`,
/// `pow` and `sqrt`, and names ([`ValueName`]). A missing number is NaN, and so is what is worked out from it, but
/// for `coalesce(a, b)`, which is the first that is not missing.
///
/// ```
/// use plugrank_value::ValueFormula;
///
/// let formula = ValueFormula::parse("click * min(coalesce(item.price, 1), 100)").unwrap();
/// let names: Vec<String> = formula.names().iter().map(ToString::to_string).collect();
/// assert_eq!(names, ["click", "item.price"]);
/// assert_eq!(formula.value(&[0.5, 8.0]), 4.0);
/// assert_eq!(formula.value(&[0.5, f64::NAN]), 0.5);
/// ```
#[derive(Clone)]
pub struct ValueFormula {
    text: Arc<str>,
    names: Vec<ValueName>,
    expression: FlatEx<f64, Operators>,
}

impl ValueFormula {
    /// Reads a formula.
    ///
    /// # Errors
    /// When the text is no formula, with the place.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        let bytes = text.len();
        if bytes > MOST_BYTES {
            return Err(FormulaError::Long { operands: 0, bytes });
        }
        let rewritten = rewrite(text)?;
        let operands = rewritten.operands;
        if operands > MOST_OPERANDS {
            return Err(FormulaError::Long { operands, bytes });
        }
        let wrong = |error: exmex::ExError| FormulaError::Order(error.msg().to_owned());
        let expression = FlatEx::<f64, Operators>::parse(&rewritten.text).map_err(wrong)?;
        let names = expression.var_names().iter().map(|name| ValueName::parse(name)).collect();
        Ok(Self { text: text.into(), names, expression })
    }

    /// The formula as it was written.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Its names, each once, in the order in which [`Self::value`] takes their numbers.
    #[must_use]
    pub fn names(&self) -> &[ValueName] {
        &self.names
    }

    /// The value where its names have these numbers, NaN for what is missing; NaN for another count of them.
    #[must_use]
    pub fn value(&self, numbers: &[f64]) -> f64 {
        self.expression.eval(numbers).unwrap_or(f64::NAN)
    }
}

impl FromStr for ValueFormula {
    type Err = FormulaError;

    fn from_str(text: &str) -> Result<Self, FormulaError> {
        Self::parse(text)
    }
}

impl fmt::Debug for ValueFormula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueFormula").field(&self.text).finish()
    }
}

impl PartialEq for ValueFormula {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// With names numbered in their alphabetical order, as the library has them.
    fn value(formula: &str, numbers: &[f64]) -> f64 {
        ValueFormula::parse(formula).unwrap().value(numbers)
    }

    #[test]
    fn formulas_are_evaluated() {
        for (formula, expected) in [
            ("1 + 2 * 3", 7.0),
            ("-2 - -3", 1.0),
            ("(1 + 2) * 3", 9.0),
            ("8 / 4 / 2", 1.0),
            ("8 / 4 * 2", 4.0),
            ("2 * 8 / 4 - 1 - 2", 1.0),
            ("10 - 4 + 3 - 2 + 1", 8.0),
            ("3 * 8 / 4 * 2 / 6", 2.0),
            ("1e-3 * 2E+3 * .5", 1.0),
            ("min(3, max(1, 2))", 2.0),
            ("min(max(1, 2), 3) * max(4, min(9, 5), 1)", 10.0),
            ("max(min(5, 2), min(max(3, 1), 4)) - 1", 2.0),
            ("pow(2, 3) + abs(-1) + sqrt(pow(3, 2))", 12.0),
            ("-pow(2, 2)", -4.0),
            ("coalesce(1, 2) * 10", 10.0),
            ("log1p(0) + ln(1) + exp(0)", 1.0),
            ("\n 2\t* 3 ", 6.0),
        ] {
            assert_eq!(value(formula, &[]), expected, "{formula}");
        }
    }

    #[test]
    fn names_identify_their_source() {
        let formula = ValueFormula::parse(
            "click * {add-to-cart} + candidate.bid / request.basket - item.price.net * item.price.net",
        );
        let names: Vec<ValueName> = formula.unwrap().names().to_vec();
        assert_eq!(
            names,
            [
                ValueName::Task("add-to-cart".into()),
                ValueName::Candidate("bid".into()),
                ValueName::Task("click".into()),
                ValueName::Item("price.net".into()),
                ValueName::Request("basket".into()),
            ]
        );
        assert_eq!(
            value("min_order + e", &[1.0, 2.0]),
            3.0,
            "no name is taken by a constant or a function"
        );
        assert_eq!(value("min + 1", &[1.0]), 2.0);
    }

    #[test]
    fn missing_values_propagate_except_through_coalesce() {
        for formula in
            ["price + 1", "min(price, 1)", "max(1, price)", "0 * price", "coalesce(price, price)"]
        {
            assert!(value(formula, &[f64::NAN]).is_nan(), "{formula}");
        }
        assert_eq!(value("coalesce(a, b, 3)", &[f64::NAN, f64::NAN]), 3.0);
        assert!(value("a", &[]).is_nan(), "another count of numbers");
        assert_eq!(value("1 / a", &[0.0]), f64::INFINITY);
    }

    #[test]
    fn invalid_formulas_are_refused_with_the_position() {
        for (formula, said) in [
            ("", "empty"),
            ("click *", "operator"),
            ("click purchase", ""),
            ("click * (1 + 2", "character 9: `(` is never closed"),
            ("click)", "character 6: `)` closes nothing"),
            ("mni(1, 2)", "character 1: `mni` is no function; there are abs, coalesce"),
            ("1 + min(2)", "character 8: `min` takes two arguments"),
            ("pow(1, 2, 3)", "`pow` takes 2 arguments"),
            ("abs(1, 2)", "`abs` takes 1 arguments"),
            ("1,5 * click", "character 2: a comma"),
            ("click ^ 2", "character 7: `^` is no operator; write pow(a, b)"),
            ("click % 2", "'%' cannot stand here"),
            ("{click", "never closed"),
            ("{}", "empty"),
            ("1.2.3", "`1.2.3` is no finite number"),
            ("1e999", "no finite number"),
            ("min(,)", ""),
            ("()", ""),
            ("* 2", ""),
        ] {
            let error = ValueFormula::parse(formula).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(said), "{formula:?}: {error}");
        }
        let long = ["click"; MOST_OPERANDS + 1].join(" + ");
        assert!(matches!(ValueFormula::parse(&long), Err(FormulaError::Long { operands: 33, .. })));
        assert!(ValueFormula::parse(&" ".repeat(2000)).is_err());
    }

    /// A formula with its value.
    fn formula() -> impl Strategy<Value = (String, f64)> {
        let leaf =
            (0..100u32).prop_map(|n| (format!("{}", f64::from(n) / 4.0), f64::from(n) / 4.0));
        leaf.prop_recursive(4, 24, 2, |inner| {
            (0..6, inner.clone(), inner).prop_map(|(kind, (a, x), (b, y))| match kind {
                0 => (format!("({a} + {b})"), x + y),
                1 => (format!("({a} - {b})"), x - y),
                2 => (format!("({a}) * ({b})"), x * y),
                3 => (format!("min({a}, {b})"), x.min(y)),
                4 => (format!("max({a},{b})"), x.max(y)),
                _ => (format!("-({a})"), -x),
            })
        })
    }

    proptest! {
        #[test]
        fn nested_formulas_are_evaluated_as_they_are_written((text, expected) in formula()) {
            if let Ok(formula) = ValueFormula::parse(&text) {
                prop_assert_eq!(formula.value(&[]), expected, "{}", text);
            } else {
                prop_assert!(text.len() > 200, "{}", text);
            }
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in "[a-z0-9.+*/(){},^ \n-]{0,40}|\\PC{0,20}") {
            let _ = ValueFormula::parse(&text);
        }
    }
}
