//! How experiments are defined, followed and forced: section `[experiments]` of the settings.

use std::{collections::BTreeSet, time::Duration};

use garde::Validate;
use plugrank_experiments::Definitions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::change;

/// Experiments. Their definitions are in the store, written by the API and out of `defined`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ExperimentsOptions {
    /// How often the store is asked whether the definitions have changed, in milliseconds: as long as
    /// another gateway may go on by the ones before.
    #[garde(range(min = 100, max = 600_000))]
    pub follow_ms: u64,
    /// How often running experiments are looked at, to take the next step of a ramp or to stop an arm, in
    /// milliseconds. Of gateways that share a store one does it.
    #[garde(range(min = 100, max = 3_600_000))]
    pub judge_ms: u64,
    /// Whether a request may name its own arms (`arms`), for tests. Such requests are left out of results.
    #[garde(skip)]
    pub forced_arms: bool,
    /// Layers of the experiments in `defined`, by `name`, with the `unit` that is dealt (`user` or `request`) and a
    /// `salt`. One that is not listed deals users.
    #[garde(skip)]
    #[schemars(extend("examples" = [[{ "name": "ranking", "unit": "user" }]]))]
    pub layers: Vec<Value>,
    /// Experiments, each with its `name` and as `PUT /v1/experiments/NAME` takes it (docs/experiments.md). One
    /// is written to the store when it is new here or has another wording than when it was written last; what
    /// the API, a ramp or a guardrail made of it since stays until then. Taking one out of the settings does
    /// not end it.
    #[garde(custom(possible_definitions(&self.layers)))]
    #[schemars(extend("examples" = [[{
        "name": "ppm",
        "layer": "ranking",
        "control": "idrec",
        "arms": [
            { "name": "idrec", "permille": 500, "settings": { "rung": "idrec" } },
            { "name": "unim", "permille": 500 },
        ],
    }]]))]
    pub defined: Vec<Value>,
}

impl Default for ExperimentsOptions {
    fn default() -> Self {
        Self {
            follow_ms: 1000,
            judge_ms: 60_000,
            forced_arms: false,
            layers: Vec::new(),
            defined: Vec::new(),
        }
    }
}

impl ExperimentsOptions {
    pub(crate) fn judge_every(&self) -> Duration {
        Duration::from_millis(self.judge_ms)
    }

    pub(crate) fn follow_every(&self) -> Duration {
        Duration::from_millis(self.follow_ms)
    }

    /// Surfaces that the arms of `defined` name. None where the definitions cannot be read.
    #[must_use]
    pub fn arm_surfaces(&self) -> BTreeSet<String> {
        let definitions = self.definitions().unwrap_or_default();
        let arms = definitions.experiments.into_iter().flat_map(|experiment| experiment.arms);
        arms.filter_map(|arm| arm.settings.surface).collect()
    }

    /// The experiments of the settings in their layers.
    ///
    /// # Errors
    /// All that is wrong with them, one line each.
    pub(super) fn definitions(&self) -> Result<Definitions, String> {
        definitions(&self.layers, &self.defined)
    }
}

fn possible_definitions(layers: &[Value]) -> impl Fn(&Vec<Value>, &()) -> garde::Result {
    move |defined: &Vec<Value>, (): &()| match definitions(layers, defined) {
        Ok(_) => Ok(()),
        Err(problems) => {
            let problems = problems.replace('\n', "; ");
            Err(garde::Error::new(format!("definitions of experiments ({problems})")))
        }
    }
}

fn definitions(layers: &[Value], defined: &[Value]) -> Result<Definitions, String> {
    let mut layers = layers.to_vec();
    for experiment in defined {
        let is_listed = layers.iter().any(|layer| layer["name"] == experiment["layer"]);
        if let Some(name) = experiment["layer"].as_str().filter(|_| !is_listed) {
            layers.push(json!({ "name": name }));
        }
    }
    let document = json!({ "layers": layers, "experiments": defined });
    // As the settings have it, where `experiments` is the section.
    let told = |text: String| text.replace("experiments[", "defined[");
    let mut definitions =
        Definitions::from_json(document).map_err(|problems| told(problems.to_string()))?;
    if let Some(error) = change::check(&definitions).first() {
        return Err(told(format!("{}: {}", error.field, error.detail)));
    }
    // It is the server's.
    definitions.experiments.iter_mut().for_each(|experiment| experiment.history.clear());
    Ok(definitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(layers: Value, defined: Value) -> ExperimentsOptions {
        let (layers, defined) = (layers.as_array().unwrap(), defined.as_array().unwrap());
        let (layers, defined) = (layers.clone(), defined.clone());
        ExperimentsOptions { layers, defined, ..ExperimentsOptions::default() }
    }

    fn arms(settings: Value) -> Value {
        json!([{"name": "a", "weight": 1}, {"name": "b", "weight": 1, "settings": settings}])
    }

    #[test]
    fn an_unlisted_layer_assigns_by_user_and_arm_surfaces_are_collected() {
        let one = json!({"name": "one", "layer": "l", "control": "a", "arms": arms(json!({"surface": "home-b"}))});
        let two = json!({"name": "two", "layer": "m", "control": "a", "arms": arms(json!({}))});
        let options = options(json!([{"name": "m", "unit": "request"}]), json!([one, two]));
        assert!(options.validate().is_ok());
        let found = options.definitions().unwrap();
        let units: Vec<_> =
            found.layers.iter().map(|layer| (&*layer.name, json!(layer.unit))).collect();
        assert_eq!(units, [("m", json!("request")), ("l", json!("user"))]);
        assert_eq!(options.arm_surfaces().into_iter().collect::<Vec<_>>(), ["home-b"]);
    }

    #[test]
    fn problems_name_their_path_in_the_settings() {
        let told = |layers: Value, defined: Value| {
            options(layers, defined).validate().unwrap_err().to_string()
        };
        let wrong = json!({"name": "one", "layer": "l", "control": "c", "arms": arms(json!({})), "plann": 1});
        let message = told(json!([]), json!([wrong]));
        for part in ["defined[0].control", "defined[0].plann"] {
            assert!(message.contains(part), "{message}");
        }
        let rung = json!({"name": "one", "layer": "l", "control": "a", "arms": arms(json!({"rung": "best"}))});
        let message = told(json!([]), json!([rung]));
        assert!(message.contains("defined[0].arms[1].settings.rung"), "{message}");
        let message = told(json!([{"name": "l", "unit": "session"}]), json!([]));
        assert!(message.contains("layers[0].unit"), "{message}");
    }
}
