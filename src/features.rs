//! Parts of the binary that a build may leave out, each a cargo feature, and the settings that need
//! them.

use plugrank_retrieval::EngineKind;

use crate::Settings;

/// A setting that needs a part.
struct Need {
    feature: &'static str,
    /// Whether this binary was built with it.
    built: bool,
    setting: &'static str,
    /// What the setting has to be without the part.
    otherwise: &'static str,
    asked: fn(&Settings) -> bool,
}

const OPEN_INFERENCE: (&str, bool) = ("open-inference", cfg!(feature = "open-inference"));

const VECTOR_ENGINE: (&str, bool) = ("vector-engine", cfg!(feature = "vector-engine"));
const TAIL_SAMPLING: (&str, bool) = ("tail-sampling", cfg!(feature = "tail-sampling"));

const NEEDS: [Need; 4] = [
    Need {
        feature: OPEN_INFERENCE.0,
        built: OPEN_INFERENCE.1,
        setting: "open_inference.serve",
        otherwise: "false",
        asked: |settings| settings.open_inference.serve,
    },
    Need {
        feature: OPEN_INFERENCE.0,
        built: OPEN_INFERENCE.1,
        setting: "scoring.open_inference.url",
        otherwise: "absent",
        asked: |settings| !settings.scoring.open_inference.url.is_empty(),
    },
    Need {
        feature: VECTOR_ENGINE.0,
        built: VECTOR_ENGINE.1,
        setting: "retrieval.engine.kind = \"redis\"",
        otherwise: "\"embedded\"",
        asked: |settings| settings.retrieval.engine.kind == EngineKind::Redis,
    },
    Need {
        feature: TAIL_SAMPLING.0,
        built: TAIL_SAMPLING.1,
        setting: "admin.bind",
        otherwise: "absent",
        asked: |settings| settings.admin.bind.is_some(),
    },
];

/// Refuses settings that ask for a part which this binary was built without.
///
/// # Errors
/// Every such setting, with its cargo feature and what it has to be instead.
pub fn check(settings: &Settings) -> Result<(), String> {
    refuse(settings, |need| need.built)
}

fn refuse(settings: &Settings, built: impl Fn(&Need) -> bool) -> Result<(), String> {
    let missing = NEEDS.iter().filter(|need| !built(need) && (need.asked)(settings));
    let lines: Vec<String> = missing
        .map(|Need { feature, setting, otherwise, .. }| {
            format!(
                "{setting} needs the cargo feature `{feature}`, which this binary was built without; \
                 build it with the feature, or have the setting be {otherwise}"
            )
        })
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let named =
            |(name, value): &(&str, &str)| (format!("PLUGRANK__{name}"), (*value).to_owned());
        let variables: HashMap<_, _> = variables.iter().map(named).collect();
        Settings::from_sources(None, variables).unwrap()
    }

    #[test]
    fn settings_of_a_disabled_feature_are_refused() {
        const SERVE: (&str, &str) = ("OPEN_INFERENCE__SERVE", "false");
        const ENGINE: (&str, &str) = ("RETRIEVAL__ENGINE__KIND", "redis");
        const ADDRESS: (&str, &str) = ("RETRIEVAL__ENGINE__REDIS__URL", "redis://a:1");
        const URL: (&str, &str) = ("SCORING__OPEN_INFERENCE__URL", "http://a:1");
        for (variables, setting, feature) in [
            (&[][..], "open_inference.serve", "open-inference"),
            (&[SERVE, URL], "scoring.open_inference.url", "open-inference"),
            (&[SERVE, ("ADMIN__BIND", "127.0.0.1:1")], "admin.bind", "tail-sampling"),
            (&[SERVE, ENGINE, ADDRESS], "retrieval.engine.kind", "vector-engine"),
        ] {
            let settings = settings(variables);
            let error = refuse(&settings, |_| false).unwrap_err();
            assert!(error.starts_with(setting), "{error}");
            assert!(
                error.contains(&format!("`{feature}`")) && error.lines().count() == 1,
                "{error}"
            );
            assert_eq!(refuse(&settings, |_| true), Ok(()));
        }
        assert_eq!(refuse(&settings(&[SERVE]), |_| false), Ok(()));
    }
}
