//! SIGHUP: settings are read again. What a running process can take up is taken up; what it cannot is said.

use anyhow::Result;
use plugrank_gateway::LiveOptions;
use plugrank_settings::SettingsError;
use serde_json::Value;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{Settings, features};

/// Settings that a gateway takes up while it serves: a section, or a key of one.
const LIVE: [&str; 5] =
    ["budget", "experiments", "retrieval.limit", "models.max_loaded", "models.shadow_share"];

/// What of the settings a gateway takes up while it serves.
#[must_use]
pub fn live(settings: &Settings) -> LiveOptions {
    LiveOptions {
        budget: settings.budget.clone(),
        candidate_limit: settings.retrieval.limit,
        experiments: settings.experiments.clone(),
        max_loaded: settings.models.max_loaded,
        shadow_share: settings.models.shadow_share,
    }
}

/// Reads settings again at each SIGHUP. Where no part takes them up, `to` is none.
///
/// # Errors
/// When the signal cannot be listened to.
pub fn on_signal(
    mut in_force: Settings,
    read: impl Fn() -> Result<Settings, SettingsError> + Send + 'static,
    to: Option<watch::Sender<LiveOptions>>,
) -> Result<()> {
    let mut signals = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            let settings = match read() {
                Ok(settings) => settings,
                Err(error) => {
                    tracing::error!(%error, "SIGHUP: the settings cannot be used; those before stay");
                    continue;
                }
            };
            if let Err(error) = features::check(&settings) {
                tracing::error!(%error, "SIGHUP: the settings cannot be used; those before stay");
                continue;
            }
            let (taken_up, restart) = changes(&in_force, &settings, to.is_some());
            tracing::info!(
                taken_up = taken_up.join(", "),
                need_a_restart = restart.join(", "),
                "SIGHUP: settings were read again"
            );
            if let Some(to) = &to {
                let _ = to.send(live(&settings));
                // The others are still as they were, and will be told of again.
                in_force.budget = settings.budget;
                in_force.experiments = settings.experiments;
                in_force.retrieval.limit = settings.retrieval.limit;
                in_force.models.max_loaded = settings.models.max_loaded;
                in_force.models.shadow_share = settings.models.shadow_share;
            }
        }
    });
    Ok(())
}

/// Keys that differ: those that are taken up, and those that need a restart.
fn changes(before: &Settings, after: &Settings, gateway: bool) -> (Vec<String>, Vec<String>) {
    let mut keys = Vec::new();
    let json = |settings: &Settings| serde_json::to_value(settings).unwrap_or_default();
    differing("", &json(before), &json(after), &mut keys);
    keys.into_iter().partition(|key| gateway && is_live(key))
}

fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| {
        key.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn differing(path: &str, before: &Value, after: &Value, to: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> =
                one.keys().chain(other.keys()).collect();
            for key in keys {
                let dot = if path.is_empty() { "" } else { "." };
                let part = |all: &serde_json::Map<String, Value>| {
                    all.get(key).cloned().unwrap_or_default()
                };
                differing(&format!("{path}{dot}{key}"), &part(one), &part(other), to);
            }
        }
        _ if before != after => to.push(path.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_keys_are_applied_or_reported_as_needing_a_restart() {
        let before = Settings::default();
        let mut after = before.clone();
        assert_eq!(changes(&before, &after, true), (vec![], vec![]));
        after.budget.default_ms += 1;
        after.budget.shares.scoring = 0.5;
        after.models.shadow_share = 0.5;
        after.retrieval.limit += 1;
        after.server.k_max += 1;
        after.models.folder = Some("models".into());
        let live = [
            "budget.default_ms",
            "budget.shares.scoring",
            "models.shadow_share",
            "retrieval.limit",
        ];
        let fixed = ["models.folder", "server.k_max"];
        let strings = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(changes(&before, &after, true), (strings(&live), strings(&fixed)));
        assert_eq!(changes(&before, &after, false).0, [""; 0]);
        assert!(!is_live("retrieval.limits"));
    }

    #[test]
    fn every_reloadable_key_is_a_setting() {
        let all = serde_json::to_value(Settings::default()).unwrap();
        for key in LIVE {
            let pointer = format!("/{}", key.replace('.', "/"));
            assert!(all.pointer(&pointer).is_some(), "{key}");
        }
    }
}
