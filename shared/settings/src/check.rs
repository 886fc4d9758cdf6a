//! Ranges and other rules of options, with errors that name the key, its value and the fix.

use serde_json::Value;
use toml::Value as Toml;

use crate::{Section, SettingsProblem, schema};

/// Checks every key of a section.
///
/// # Errors
/// All problems there are.
pub fn check<S: Section>(section: &S) -> Result<(), Vec<SettingsProblem>> {
    let Err(report) = section.validate() else { return Ok(()) };
    let schema = schema::section_schema::<S>();
    let values = Toml::try_from(section).unwrap_or(Toml::Boolean(false));
    let mut problems: Vec<SettingsProblem> = Vec::new();
    for (path, error) in report.iter() {
        let key = path.to_string();
        let key = key.split('[').next().unwrap_or_default().to_owned();
        // Of a key that breaks several rules the first is told, of a list each element.
        let told = |problem: &SettingsProblem| problem.key == key;
        if !problems.iter().any(told) {
            let message = message(&schema, &values, &key, error.message());
            problems.push(SettingsProblem { key, message });
        }
    }
    Err(problems)
}

fn message(schema: &Value, values: &Toml, key: &str, rule: &str) -> String {
    let node = schema::at(schema, key).unwrap_or(&Value::Null);
    let value = key.split('.').try_fold(values, |values, part| values.get(part));
    let number = match value {
        Some(Toml::Integer(number)) => Some(*number as f64),
        Some(Toml::Float(number)) => Some(*number),
        _ => None,
    };
    let range = schema::Range::from_schema(node);
    // A NaN lies in no range.
    let outside = number.is_some_and(|number| !range.contains(number));
    let allowed = range.text().filter(|_| outside).unwrap_or_else(|| rule.to_owned());
    match value {
        _ if schema::is_secret(node) => format!("must be {allowed}"),
        Some(Toml::Table(_)) => format!("must be {allowed}"),
        Some(Toml::Float(float)) => format!("is {float}; it must be {allowed}"),
        Some(value) => format!("is {value}; it must be {allowed}"),
        None => format!("is absent; it must be {allowed}"),
    }
}
