use std::{collections::HashMap, fs, io::Write, path::Path};

use plugrank_settings::{SettingsError, document};
use tempfile::NamedTempFile;

use super::Settings;

fn with(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let owned = |(name, value): &(&str, &str)| (format!("PLUGRANK__{name}"), (*value).to_owned());
    Settings::from_sources(None, variables.iter().map(owned).collect())
}

fn message(variables: &[(&str, &str)]) -> String {
    with(variables).unwrap_err().to_string()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn from_file(text: &str) -> Result<Settings, SettingsError> {
    Settings::from_sources(Some(file(text).path()), HashMap::new())
}

#[test]
fn the_defaults_are_valid() {
    let settings = with(&[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.budget.default_ms, 50);
    assert_eq!(settings.telemetry.otlp_endpoint, None);
    assert_eq!(settings.admin.bind, None);
}

/// The settings file with every key, those without a default set to their examples.
fn with_examples() -> String {
    let mut text = String::new();
    for line in Settings::default().to_file().lines() {
        let key = line.strip_prefix("# ").filter(|rest| {
            rest.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', '.']))
        });
        text.push_str(key.unwrap_or(line));
        text.push('\n');
    }
    text
}

#[test]
fn commented_out_examples_of_the_settings_file_are_valid() {
    let settings = from_file(&with_examples()).unwrap();
    assert_eq!(settings.server.workers, Some(2));
    assert_eq!(settings.peers.scoring_url.len(), 2);
    assert_eq!(settings.peers.retrieval_url, ["http://retrieval:8081"]);
    assert!(settings.telemetry.otlp_endpoint.is_some());
    assert!(settings.admin.bind.is_some_and(|bind| bind.ip().is_loopback()));
    assert!(settings.onnxruntime.library.is_some());
    let unset = |line: &&str| line.starts_with("# ") && line.ends_with("= null");
    let text = Settings::default().to_file();
    assert_eq!(text.lines().filter(unset).collect::<Vec<_>>(), [""; 0], "keys need an example");
}

#[test]
fn every_key_is_in_the_settings_file_once() {
    let text = with_examples();
    let all: toml::Table = text.parse().unwrap();
    let set = toml::Table::try_from(Settings::default()).unwrap();
    for (section, keys) in set {
        for key in keys.as_table().unwrap().keys() {
            assert!(all[&section].get(key).is_some(), "{section}.{key}");
        }
    }
}

#[test]
fn settings_round_trip() {
    let variables = [("SERVER__WORKERS", "3"), ("PEERS__SCORING_URL", "http://a:1,http://b:2")];
    let settings = with(&variables).unwrap();
    assert_eq!(from_file(&settings.to_file()).unwrap(), settings);
}

#[test]
fn the_environment_beats_the_file_and_the_file_the_defaults() {
    let file = file("[server]\nk_max = 77\nk_default = 7\n");
    let variables = HashMap::from([("PLUGRANK__SERVER__K_DEFAULT".to_owned(), "9".to_owned())]);
    let settings = Settings::from_sources(Some(file.path()), variables).unwrap();
    assert_eq!((settings.server.k_max, settings.server.k_default), (77, 9));
    assert_eq!(settings.server.max_events, 1000);
}

#[test]
fn lists_optional_and_nested_keys_come_from_the_environment() {
    let settings = with(&[
        ("SCORING__CANDIDATE_BUCKETS", "16, 64"),
        ("BUDGET__SHARES__SCORING", "0.5"),
        ("TELEMETRY__OTLP_ENDPOINT", "http://collector:4318"),
        ("SERVER__WORKERS", "3"),
        ("PEERS__SCORING_URL", "http://a:1, http://b:2"),
        ("EMBEDDING__ENCODE_ON_MISS", "false"),
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
    let error = message(&[("SERVER__PORT", "80")]);
    assert!(error.contains("`server.port`") && error.contains("unknown"), "{error}");
    let error = message(&[("SEVER__BIND", "x")]);
    assert!(error.contains("`sever`"), "{error}");
    let error = from_file("[budget.shares]\nrerank = 0.1\n").unwrap_err().to_string();
    assert!(error.contains("`budget.shares.rerank`"), "{error}");
}

#[test]
fn wrong_types_are_named() {
    for (variable, value, key) in [
        ("SERVER__WORKERS", "many", "server.workers"),
        ("SERVER__MAX_EVENTS", "-3", "server.max_events"),
        ("SERVER__BIND", "nowhere", "server.bind"),
        ("STORE__KIND", "sqlite", "store.kind"),
        ("SCORING__USER_BUCKETS", "1,b", "scoring.user_buckets"),
    ] {
        let error = message(&[(variable, value)]);
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn out_of_range_values_name_the_key_and_the_range() {
    let error = message(&[
        ("SERVER__K_MAX", "0"),
        ("RERANKING__LAMBDA", "1.5"),
        ("BUDGET__SHARES__SCORING", "0.9"),
        ("STORE__KIND", "redis"),
        ("SCORING__USER_BUCKETS", "4,2"),
        ("TELEMETRY__OTLP_ENDPOINT", "collector:4318"),
        ("TELEMETRY__SAMPLE_SHARE", "nan"),
        ("PEERS__SCORING_URL", "http://a:1, b:2"),
        ("PEERS__EJECT_MAX_MS", "10"),
        ("BUDGET__LADDER__UP_AT", "2"),
        ("SERVER__PORT", "80"),
        ("SERVER__WORKERS", "many"),
    ]);
    for part in [
        "`server.k_max` is 0; it must be 1 to 10000",
        "`reranking.lambda` is 1.5; it must be 0.01 to 1",
        "`budget.shares` must be at most 1 when added up, not 1.300",
        "`store.redis.url`",
        "`scoring.user_buckets` is [4, 2]",
        "`telemetry.otlp_endpoint` is \"collector:4318\"; it must be an http or https address",
        "`telemetry.sample_share` is NaN; it must be 0 to 1",
        "`peers.scoring_url`",
        "not \"b:2\"",
        "`peers.eject_max_ms` is 10; it must be 500 to 600000",
        "`budget.ladder.up_at` is 2; it must be below budget.ladder.down_at (1)",
        "`server.port`",
        "`server.workers`",
    ] {
        assert!(error.contains(part), "{part} not in: {error}");
    }
    assert_eq!(error.matches("`server.k_default`").count(), 0, "of k_max alone: {error}");
}

#[test]
fn experiments_are_defined_in_the_settings() {
    let defined = |control: &str, surface: &str| {
        format!(
            "[[experiments.defined]]\nname = \"b\"\nlayer = \"l\"\ncontrol = \"{control}\"\n\
             arms = [{{ name = \"a\", weight = 1 }}, \
             {{ name = \"b\", weight = 1, settings = {{ surface = \"{surface}\" }} }}]\n\
             [surfaces.home-b]\nk = 5\n"
        )
    };
    let settings = from_file(&defined("a", "home-b")).unwrap();
    assert_eq!(settings.experiments.arm_surfaces().into_iter().collect::<Vec<_>>(), ["home-b"]);
    assert_eq!(from_file(&settings.to_file()).unwrap(), settings);
    for (control, surface, wrong) in
        [("c", "home-b", "defined[0].control"), ("a", "home-c", "home-c is none")]
    {
        let error = from_file(&defined(control, surface)).unwrap_err().to_string();
        assert!(error.contains("`experiments") && error.contains(wrong), "{error}");
    }
}

#[test]
fn a_broken_or_missing_file_is_named() {
    let file = file("[server\n");
    let error = Settings::from_sources(Some(file.path()), HashMap::new()).unwrap_err();
    let name = file.path().to_string_lossy().into_owned();
    assert!(error.to_string().contains(&name), "{error}");
    let missing = Path::new("no-such-settings.toml");
    let error = Settings::from_sources(Some(missing), HashMap::new()).unwrap_err();
    assert!(matches!(error, SettingsError::File { .. }));
}

#[test]
fn misspelt_environment_variables_are_reported() {
    let told = |name: &str| plugrank_settings::near_misses::<Settings>([name].into_iter());
    for name in ["PLUGRANK_SERVER__BIND", "PLUGRANK_SERVER_BIND", "plugrank_server_bnid"] {
        let meant = format!("{name} sets nothing; PLUGRANK__SERVER__BIND would");
        assert!(told(name).concat().contains(&meant), "{:?}", told(name));
    }
    let meant = "PLUGRANK__BUDGET__SHARES__SCORING would";
    assert!(told("PLUGRANK_BUDGET_SHARES__SCORING").concat().contains(meant));
    // Settings, and what Kubernetes and others set.
    for name in
        ["PLUGRANK__SERVER__BIND", "PLUGRANK", "PLUGRANK_PORT", "PLUGRANK_SERVICE_HOST", "PATH"]
    {
        assert_eq!(told(name), [""; 0], "{name}");
    }
}

const WRITE: &str = "is not what the settings make of it; run `cargo xtask settings`";

#[test]
fn the_generated_documents_are_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let read = |name: &str| fs::read_to_string(docs.join(name)).unwrap();
    assert!(read("settings.md") == Settings::table(), "docs/settings.md {WRITE}");
    assert!(read("defaults.toml") == Settings::default().to_file(), "docs/defaults.toml {WRITE}");
}

#[test]
fn the_charts_schema_is_up_to_date() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/plugrank/values.schema.json");
    let schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(chart).unwrap()).unwrap();
    let made = document::chart_schema::<Settings>();
    assert!(schema["$defs"]["settings"] == made, "helm/plugrank/values.schema.json {WRITE}");
}
