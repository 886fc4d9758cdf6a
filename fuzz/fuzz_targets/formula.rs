//! Value formulas: any text is a formula or refused with its place; one that is read gives the same number
//! whenever it is asked, and within parentheses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugrank_value::ValueFormula;

fuzz_target!(|text: &str| {
    let Ok(formula) = ValueFormula::parse(text) else { return };
    let count = formula.names().len();
    let within = ValueFormula::parse(&format!("({text})"));
    for missing in 0..=count {
        let number = |at: usize| if at == missing { f64::NAN } else { at as f64 - 1.5 };
        let numbers: Vec<f64> = (0..count).map(number).collect();
        let value = formula.value(&numbers);
        assert_eq!(formula.value(&numbers).to_bits(), value.to_bits());
        if let Ok(within) = &within {
            assert_eq!(within.names(), formula.names());
            let found = within.value(&numbers);
            assert!(found == value || (found.is_nan() && value.is_nan()), "{found} and {value}");
        }
    }
    assert!(formula.value(&vec![1.0; count + 1]).is_nan(), "another count of numbers");
});
