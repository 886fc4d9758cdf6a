//! What events there are and which are taken: section `[events]` of the settings.

use std::{collections::BTreeMap, time::Duration};

use garde::Validate;
use plugrank_contract::{EventType, Feedback};
use plugrank_settings::rules::holds;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Longest name of a type, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Most types.
const MAX_TYPES: usize = 64;

/// Which events there are, and which are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct EventsOptions {
    /// How far a caller's clock may be ahead of the server's, in milliseconds. Such an event counts as if
    /// it happened when it came; one further ahead is refused.
    #[garde(range(min = 0, max = 86_400_000))]
    pub ahead_ms: u64,
    /// What happens to an event whose item the catalog does not have. Either way it is counted.
    #[garde(skip)]
    pub unknown_items: UnknownItems,
    /// The types of events, each by its name. `click` and `impression` are there unless changed.
    #[garde(dive)]
    pub types: EventTypes,
}

impl Default for EventsOptions {
    fn default() -> Self {
        Self { ahead_ms: 300_000, unknown_items: UnknownItems::Keep, types: EventTypes::default() }
    }
}

impl EventsOptions {
    /// How far a caller's clock may be ahead.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms)
    }
}

/// What happens to an event whose item the catalog does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownItems {
    /// It is kept: the item may come later.
    Keep,
    /// It is refused.
    Refuse,
}

/// The types of events, by name.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Validate)]
#[garde(transparent)]
#[serde(transparent)]
pub struct EventTypes(#[garde(custom(names), dive)] pub BTreeMap<String, EventTypeOptions>);

impl Default for EventTypes {
    fn default() -> Self {
        let impression =
            EventTypeOptions { weight: 0.0, positive: false, impression: true, task: None };
        Self(BTreeMap::from([
            ("click".to_owned(), EventTypeOptions::default()),
            ("impression".to_owned(), impression),
        ]))
    }
}

impl EventTypes {
    /// The types as events carry them.
    #[must_use]
    pub fn resolved(&self) -> BTreeMap<String, EventType> {
        let resolved = |(name, options): (&String, &EventTypeOptions)| {
            let feedback = match (options.impression, options.positive) {
                (true, _) => Feedback::Impression,
                (false, true) => Feedback::Positive,
                (false, false) => Feedback::Negative,
            };
            let name = name.as_str();
            let weight = options.weight as f32;
            (name.to_owned(), EventType { name: name.into(), feedback, weight })
        };
        self.0.iter().map(resolved).collect()
    }

    /// Types that are labels of further tasks, with the task.
    #[must_use]
    pub fn tasks(&self) -> BTreeMap<String, String> {
        let labelled =
            |(name, one): (&String, &EventTypeOptions)| Some((name.clone(), one.task.clone()?));
        self.0.iter().filter_map(labelled).collect()
    }
}

/// Takes the default types, with what is given over them.
impl<'de> Deserialize<'de> for EventTypes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = BTreeMap::<String, GivenType>::deserialize(from)?;
        let mut types = Self::default();
        for (name, given) in given {
            let known = types.0.remove(&name).unwrap_or_default();
            types.0.insert(name, given.over(known));
        }
        Ok(types)
    }
}

/// A type of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct EventTypeOptions {
    /// The further task it is the label of: an export sets its column `label_TASK`. Absent: the main label
    /// alone.
    #[garde(custom(task_name))]
    #[schemars(example = &"purchase")]
    pub task: Option<String>,
    /// How much it counts for an item's popularity; below 0 against it. What was shown once counts with
    /// the strongest of its events.
    #[garde(range(min = -1000.0, max = 1000.0))]
    pub weight: f64,
    /// Whether it shows interest: histories and the main label have it as a click. Otherwise, unless it is
    /// an impression, it is dislike.
    #[garde(skip)]
    pub positive: bool,
    /// Whether it only says that the item was shown.
    #[garde(custom(not_both(self.positive)))]
    pub impression: bool,
}

impl Default for EventTypeOptions {
    fn default() -> Self {
        Self { task: None, weight: 1.0, positive: true, impression: false }
    }
}

/// What a settings file says of a type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenType {
    task: Option<String>,
    weight: Option<f64>,
    positive: Option<bool>,
    impression: Option<bool>,
}

impl GivenType {
    fn over(self, known: EventTypeOptions) -> EventTypeOptions {
        EventTypeOptions {
            task: self.task.or(known.task),
            weight: self.weight.unwrap_or(known.weight),
            positive: self.positive.unwrap_or(known.positive),
            impression: self.impression.unwrap_or(known.impression),
        }
    }
}

fn names(types: &BTreeMap<String, EventTypeOptions>, _: &()) -> garde::Result {
    let named = |name: &String| !name.is_empty() && name.len() <= MAX_NAME_BYTES;
    holds(types.len() <= MAX_TYPES && types.keys().all(named), || {
        format!("at most {MAX_TYPES} types with names of 1 to {MAX_NAME_BYTES} bytes")
    })
}

fn task_name(task: &Option<String>, _: &()) -> garde::Result {
    let plain = |task: &String| {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !task.is_empty() && task.len() <= MAX_NAME_BYTES && task.chars().all(letters)
    };
    holds(task.as_ref().is_none_or(plain), || {
        format!("1 to {MAX_NAME_BYTES} letters, digits or _ (it names a column)")
    })
}

fn not_both(positive: bool) -> impl FnOnce(&bool, &()) -> garde::Result {
    move |impression, ()| {
        holds(!(*impression && positive), || "false where positive is true".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> EventsOptions {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn configured_types_extend_and_override_the_defaults() {
        let options = read(serde_json::json!({"types": {
            "purchase": {"task": "purchase", "weight": 4.0},
            "hide": {"positive": false, "weight": -1.0},
            "click": {"weight": 2.0},
            "impression": {"task": "seen"},
        }}));
        let types = options.types.resolved();
        let feedback_and_weight = |name: &str| (types[name].feedback, types[name].weight);
        assert_eq!(feedback_and_weight("purchase"), (Feedback::Positive, 4.0));
        assert_eq!(feedback_and_weight("hide"), (Feedback::Negative, -1.0));
        assert_eq!(feedback_and_weight("click"), (Feedback::Positive, 2.0));
        assert_eq!(feedback_and_weight("impression"), (Feedback::Impression, 0.0));
        assert!(plugrank_settings::check(&options).is_ok());
        assert_eq!(EventsOptions::default().types.resolved()["click"], EventType::click());
        assert_eq!(
            EventsOptions::default().types.resolved()["impression"],
            EventType::impression()
        );
    }

    #[test]
    fn contradictory_settings_are_named() {
        for (given, key) in [
            (serde_json::json!({"click": {"impression": true}}), "types.click.impression"),
            (serde_json::json!({"buy": {"weight": 1e9}}), "types.buy.weight"),
            (serde_json::json!({"buy": {"task": "a b"}}), "types.buy.task"),
            (serde_json::json!({"": {}}), "types"),
        ] {
            let options = read(serde_json::json!({ "types": given }));
            let problems = plugrank_settings::check(&options).unwrap_err();
            assert_eq!(problems[0].key, key, "{problems:?}");
        }
    }
}
