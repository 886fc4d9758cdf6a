//! Reads the settings from their three sources.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, Environment, File, FileFormat};

use super::{DEFAULTS, Settings, SettingsError};

const PREFIX: &str = "PLUGRANK";
const SEPARATOR: &str = "__";

impl Settings {
    /// The settings of this process: defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// As [`SettingsError`] says; the process should end with its exit code.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut variables = HashMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            if !belongs(&name) {
                continue;
            }
            let value = value.into_string().map_err(|_| SettingsError::Key {
                key: name.clone(),
                message: "the environment variable is not UTF-8".to_owned(),
            })?;
            variables.insert(name, value);
        }
        Self::from_sources(file, variables)
    }

    /// The settings from the defaults, `file` and `variables` in place of the environment.
    /// Variables without the `PLUGRANK__` prefix are not ours and are left alone.
    ///
    /// # Errors
    /// As [`SettingsError`] says.
    pub fn from_sources(
        file: Option<&Path>,
        variables: HashMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            builder = builder.add_source(read(path)?);
        }
        let environment = Environment::with_prefix(PREFIX)
            .separator(SEPARATOR)
            .source(Some(variables.into_iter().filter(|(name, _)| belongs(name)).collect()));
        let merged = builder.add_source(environment).build().map_err(unnamed)?;
        let settings: Self =
            serde_path_to_error::deserialize(merged).map_err(|error| SettingsError::Key {
                key: error.path().to_string(),
                message: error.into_inner().to_string(),
            })?;
        match settings.violations() {
            violations if violations.is_empty() => Ok(settings),
            violations => Err(SettingsError::Impossible(violations)),
        }
    }
}

/// Reads a file alone first, so that a broken one is named in the error.
fn read(path: &Path) -> Result<File<config::FileSourceString, FileFormat>, SettingsError> {
    let failed = |message: String| SettingsError::File { path: PathBuf::from(path), message };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let source = File::from_str(&text, FileFormat::Toml);
    Config::builder()
        .add_source(source.clone())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    Ok(source)
}

fn belongs(name: &str) -> bool {
    let prefix = PREFIX.len() + SEPARATOR.len();
    name.get(..prefix).is_some_and(|start| start.eq_ignore_ascii_case("PLUGRANK__"))
}

fn unnamed(error: ConfigError) -> SettingsError {
    SettingsError::Key { key: "?".to_owned(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::from_sources(None, variables.iter().map(owned).collect())
    }

    fn message(variables: &[(&str, &str)]) -> String {
        with(variables).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_parse_and_are_possible() {
        let settings = with(&[]).unwrap();
        assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.budget.default_ms, 50);
        assert_eq!(settings.telemetry.otlp_endpoint, None);
        assert_eq!(settings.admin.bind, None);
    }

    #[test]
    fn commented_out_keys_of_the_defaults_exist() {
        let mut text = String::new();
        for line in DEFAULTS.lines() {
            let key = line.strip_prefix("# ").filter(|rest| {
                rest.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', '.']))
            });
            text.push_str(key.unwrap_or(line));
            text.push('\n');
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let settings = Settings::from_sources(Some(file.path()), HashMap::new()).unwrap();
        assert_eq!(settings.server.workers, Some(2));
        assert!(settings.retrieval.engine.redis_url.is_some());
        assert_eq!(settings.peers.scoring_url.len(), 2);
        assert_eq!(settings.peers.retrieval_url, ["http://retrieval:8081"]);
        assert!(settings.store.redis_url.is_some());
        assert!(settings.telemetry.otlp_endpoint.is_some());
        assert!(settings.admin.bind.is_some_and(|bind| bind.ip().is_loopback()));
        assert!(settings.onnxruntime.library.is_some());
    }

    #[test]
    fn what_is_written_reads_back() {
        let variables = [
            ("PLUGRANK__SERVER__WORKERS", "3"),
            ("PLUGRANK__PEERS__SCORING_URL", "http://a:1,http://b:2"),
        ];
        let settings = with(&variables).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(toml::to_string(&settings).unwrap().as_bytes()).unwrap();
        let read = Settings::from_sources(Some(file.path()), HashMap::new()).unwrap();
        assert_eq!(read, settings);
    }

    #[test]
    fn the_environment_beats_the_file_and_the_file_the_defaults() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"[server]\nk_max = 77\nk_default = 7\n").unwrap();
        let variables = HashMap::from([("PLUGRANK__SERVER__K_DEFAULT".to_owned(), "9".to_owned())]);
        let settings = Settings::from_sources(Some(file.path()), variables).unwrap();
        assert_eq!((settings.server.k_max, settings.server.k_default), (77, 9));
        assert_eq!(settings.server.max_events, 1000);
    }

    #[test]
    fn lists_optional_and_nested_keys_come_from_the_environment() {
        let settings = with(&[
            ("PLUGRANK__SCORING__CANDIDATE_BUCKETS", "16, 64"),
            ("PLUGRANK__BUDGET__SHARES__SCORING", "0.5"),
            ("PLUGRANK__TELEMETRY__OTLP_ENDPOINT", "http://collector:4318"),
            ("PLUGRANK__SERVER__WORKERS", "3"),
            ("PLUGRANK__PEERS__SCORING_URL", "http://a:1, http://b:2"),
            ("PLUGRANK__EMBEDDING__ENCODE_ON_MISS", "false"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!(settings.scoring.candidate_buckets, [16, 64]);
        assert_eq!(settings.budget.shares.scoring, 0.5);
        assert_eq!(settings.peers.scoring_url, ["http://a:1", "http://b:2"]);
        assert_eq!(settings.telemetry.otlp_endpoint.as_deref(), Some("http://collector:4318"));
        assert_eq!(settings.server.workers, Some(3));
        assert!(!settings.embedding.encode_on_miss);
    }

    #[test]
    fn unknown_keys_are_named() {
        let error = message(&[("PLUGRANK__SERVER__PORT", "80")]);
        assert!(error.contains("`server.port`") && error.contains("unknown"), "{error}");
        let error = message(&[("PLUGRANK__SEVER__BIND", "x")]);
        assert!(error.contains("`sever`"), "{error}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"[budget.shares]\nrerank = 0.1\n").unwrap();
        let error = Settings::from_sources(Some(file.path()), HashMap::new()).unwrap_err();
        assert!(error.to_string().contains("`budget.shares.rerank`"), "{error}");
    }

    #[test]
    fn wrong_types_are_named() {
        for (variable, value, key) in [
            ("PLUGRANK__SERVER__WORKERS", "many", "server.workers"),
            ("PLUGRANK__SERVER__MAX_EVENTS", "-3", "server.max_events"),
            ("PLUGRANK__SERVER__BIND", "nowhere", "server.bind"),
            ("PLUGRANK__STORE__KIND", "sqlite", "store.kind"),
            ("PLUGRANK__SCORING__USER_BUCKETS", "1,b", "scoring.user_buckets"),
        ] {
            let error = message(&[(variable, value)]);
            assert!(error.contains(key), "{key}: {error}");
        }
    }

    #[test]
    fn impossible_values_name_the_key_and_the_range() {
        let error = message(&[
            ("PLUGRANK__SERVER__K_MAX", "0"),
            ("PLUGRANK__RERANKING__LAMBDA", "1.5"),
            ("PLUGRANK__BUDGET__SHARES__SCORING", "0.9"),
            ("PLUGRANK__STORE__KIND", "redis"),
            ("PLUGRANK__SCORING__USER_BUCKETS", "4,2"),
            ("PLUGRANK__TELEMETRY__OTLP_ENDPOINT", "collector:4318"),
            ("PLUGRANK__PEERS__SCORING_URL", "http://a:1, b:2"),
            ("PLUGRANK__PEERS__EJECT_MAX_MS", "10"),
        ]);
        for part in [
            "`server.k_max` is 0; it must be 1 to 10000",
            "`reranking.lambda` is 1.5; it must be 0.01 to 1",
            "`budget.shares`",
            "`store.redis_url`",
            "`scoring.user_buckets` is [4, 2]",
            "`telemetry.otlp_endpoint`",
            "`peers.scoring_url` is \"b:2\"",
            "`peers.eject_max_ms` is 10; it must be 500 to 600000",
        ] {
            assert!(error.contains(part), "{part} not in: {error}");
        }
    }

    #[test]
    fn a_broken_or_missing_file_is_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"[server\n").unwrap();
        let error = Settings::from_sources(Some(file.path()), HashMap::new()).unwrap_err();
        let name = file.path().to_string_lossy().into_owned();
        assert!(error.to_string().contains(&name), "{error}");
        let missing = Path::new("no-such-settings.toml");
        let error = Settings::from_sources(Some(missing), HashMap::new()).unwrap_err();
        assert!(matches!(error, SettingsError::File { .. }));
    }
}
