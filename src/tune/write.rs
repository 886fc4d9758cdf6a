//! Writes a configuration into a settings file.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result, bail};
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{Configuration, measure::IN_PLACE};

/// Writes the configuration into the section `[scoring]` of a settings file, which is made when it is
/// not there. What else the file says stays, comments included.
///
/// # Errors
/// When the file cannot be read, is not TOML, or cannot be written.
pub fn write(configuration: &Configuration, path: &Path) -> Result<()> {
    let name = path.display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
    };
    let mut document: DocumentMut =
        text.parse().with_context(|| format!("{name} is not a TOML file"))?;
    let scoring = document.entry("scoring").or_insert(Item::Table(Table::new()));
    let Some(scoring) = scoring.as_table_like_mut() else {
        bail!("`scoring` in {name} is not a section");
    };
    let Configuration { workers, threads, batch_rows, in_place, candidate_buckets } = configuration;
    let number = |number: usize| value(i64::try_from(number).unwrap_or(i64::MAX));
    let buckets = candidate_buckets.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX));
    let micros = if *in_place { IN_PLACE.as_micros() as i64 } else { 0 };
    for (key, item) in [
        ("workers", number(*workers)),
        ("threads", number(*threads)),
        ("batch_rows", number(*batch_rows)),
        ("run_in_place_us", value(micros)),
        ("candidate_buckets", value(buckets.collect::<Array>())),
    ] {
        scoring.insert(key, item);
    }
    fs::write(path, document.to_string()).with_context(|| format!("cannot write {name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::Settings;

    fn configuration() -> Configuration {
        Configuration {
            workers: 2,
            threads: 1,
            batch_rows: 1_000,
            in_place: true,
            candidate_buckets: vec![50, 500],
        }
    }

    #[test]
    fn written_settings_are_valid_and_other_keys_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugrank.toml");
        write(&configuration(), &path).unwrap();
        let settings = Settings::from_sources(Some(&path), HashMap::new()).unwrap();
        assert_eq!((settings.scoring.workers, settings.scoring.batch_rows), (2, 1_000));

        let text = "# ours\n[scoring]\nmodel = \"idrec\" # for now\nthreads = 4\n";
        fs::write(&path, text).unwrap();
        write(&configuration(), &path).unwrap();
        let written = fs::read_to_string(&path).unwrap();
        assert!(
            written.starts_with("# ours\n[scoring]\nmodel = \"idrec\" # for now\nthreads = 1\n")
        );
        let settings = Settings::from_sources(Some(&path), HashMap::new()).unwrap();
        assert_eq!(settings.scoring.candidate_buckets, [50, 500]);

        fs::write(&path, "scoring = 3\n").unwrap();
        let error = write(&configuration(), &path).unwrap_err().to_string();
        assert!(error.contains("is not a section"), "{error}");
        fs::write(&path, "[scoring").unwrap();
        assert!(write(&configuration(), &path).is_err(), "not TOML");
    }
}
