//! Names of settings in the environment.

use crate::{Section, schema};

/// What all of them begin with.
pub(crate) const PREFIX: &str = "PLUGRANK";
/// What stands between their parts.
pub(crate) const SEPARATOR: &str = "__";

/// Edits that make a name a near miss.
const NEAR: usize = 2;

/// Whether a variable is a setting of this program.
pub(crate) fn is_setting(name: &str) -> bool {
    let start = PREFIX.len() + SEPARATOR.len();
    name.get(..start).is_some_and(|start| start.eq_ignore_ascii_case("PLUGRANK__"))
}

/// The variable that sets a key, e.g. `PLUGRANK__SERVER__BIND`.
pub(crate) fn variable(key: &str) -> String {
    let parts = key.split('.').map(str::to_ascii_uppercase);
    [PREFIX.to_owned()].into_iter().chain(parts).collect::<Vec<_>>().join(SEPARATOR)
}

/// One warning for each variable that sets nothing but is nearly named like one that does.
pub fn near_misses<'a, S: Section>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let start = |name: &&str| {
        let start = name.get(..PREFIX.len()).is_some_and(|it| it.eq_ignore_ascii_case(PREFIX));
        start && !is_setting(name)
    };
    let names: Vec<&str> = names.filter(start).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let schema = schema::section_schema::<S>();
    let known: Vec<_> =
        schema::leaves(&schema).into_iter().map(|(key, _)| variable(&key)).collect();
    let folded: Vec<_> = known.iter().map(|name| fold(name)).collect();
    let mut warnings: Vec<_> = names
        .into_iter()
        .filter_map(|name| {
            let given = fold(name);
            let distance = |other: &str| strsim::damerau_levenshtein(&given, other);
            let near = folded.iter().enumerate().map(|(place, other)| (distance(other), place));
            let (_, place) = near.min().filter(|(distance, _)| *distance <= NEAR)?;
            let meant = &known[place];
            Some(format!("the environment variable {name} sets nothing; {meant} would"))
        })
        .collect();
    warnings.sort();
    warnings
}

/// Lower case, with single underscores.
fn fold(name: &str) -> String {
    let parts = name.split('_').filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}
