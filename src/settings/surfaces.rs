//! Surfaces: section `[surfaces]` of the settings.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use garde::Validate;
use plugrank_contract::Filter;
use plugrank_gateway::{ExperimentsOptions, SurfaceParts};
use plugrank_reranking::{RuleOptions, options::possible_rules, rule_inputs};
use plugrank_retrieval::{
    options::{Quota, ShownTooOftenOptions, SurfaceCandidates},
    source_names,
};
use plugrank_scoring::options::possible_formula;
use plugrank_settings::rules::holds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// The surfaces by name: lower-case letters, digits, `_` and `-`.
pub type Surfaces = BTreeMap<String, SurfaceOptions>;

/// A place of the shop where lists are shown: home, cart, detail page, mail. A rank request names it by
/// `surface`. What is absent is as for requests that name none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct SurfaceOptions {
    /// Items in an answer when the caller does not say, at most server.k_max.
    #[garde(range(min = 1, max = 10_000))]
    #[schemars(example = 12)]
    pub k: Option<u32>,
    /// Latency budget when the caller does not say, in milliseconds, at most budget.ceiling_ms.
    #[garde(range(min = 1, max = 600_000))]
    #[schemars(example = 100)]
    pub budget_ms: Option<u64>,
    /// Candidates handed on to scoring.
    #[garde(range(min = 1, max = 10_000))]
    #[schemars(example = 500)]
    pub candidates: Option<u32>,
    /// Sources that are asked and the share of the candidates that each is asked for, above 0 and at most
    /// 1; none but these. Absent: as `retrieval.shares` says.
    #[garde(custom(known_sources))]
    #[schemars(example = serde_json::json!({ "co_visitation": 0.7, "ann": 0.3 }))]
    pub sources: BTreeMap<String, f64>,
    /// What every item meets, by the columns of the items, as a request's filter.
    #[garde(custom(possible_filter))]
    pub filter: Filter,
    /// Items that a user was shown again and again and did not click, as `retrieval.shown_too_often` is.
    /// Absent: as that says.
    #[garde(dive)]
    #[schemars(example = serde_json::json!({ "impressions": 5, "hours": 24 }))]
    pub shown_too_often: Option<ShownTooOftenOptions>,
    /// What an item is worth here, a formula as `scoring.value` is. Absent: as that says.
    #[garde(custom(possible_formula))]
    #[schemars(example = "click * candidate.bid")]
    pub value: Option<String>,
    /// Rules beside those of every request (`reranking.rules`), in the order in which they are applied.
    #[garde(custom(possible_rules))]
    #[schemars(extend("examples" = [[{ "rule": "cap", "column": "brand", "max": 2, "window": 6 }]]))]
    pub rules: Vec<RuleOptions>,
}

fn known_sources(sources: &BTreeMap<String, f64>, _: &()) -> garde::Result {
    let known = source_names();
    let unknown = sources.keys().find(|name| !known.contains(&name.as_str()));
    if let Some(name) = unknown {
        return Err(garde::Error::new(format!("of {}; {name} is none", known.join(", "))));
    }
    let wrong = sources.iter().find(|(_, share)| !(**share > 0.0 && **share <= 1.0));
    holds(wrong.is_none(), || "above 0 and at most 1 for each source".to_owned())
}

fn possible_filter(filter: &Filter, _: &()) -> garde::Result {
    match filter.problems().first() {
        None => Ok(()),
        Some(problem) => {
            Err(garde::Error::new(format!("a filter ({}: {})", problem.pointer, problem.detail)))
        }
    }
}

/// Names that can be surfaces.
pub(super) fn possible_names(surfaces: &Surfaces, _: &()) -> garde::Result {
    let plain = |name: &&String| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| allowed(b) || b"_-".contains(&b))
    };
    let wrong = surfaces.keys().find(|name| !plain(name));
    holds(wrong.is_none(), || "named by 1 to 64 lower-case letters, digits, `_` and `-`".to_owned())
}

/// Whether the surfaces that arms of the settings' experiments name are there.
pub(super) fn of_arms(surfaces: &Surfaces) -> impl Fn(&ExperimentsOptions, &()) -> garde::Result {
    move |experiments: &ExperimentsOptions, (): &()| {
        let named = experiments.arm_surfaces();
        let Some(unknown) = named.iter().find(|name| !surfaces.contains_key(*name)) else {
            return Ok(());
        };
        Err(garde::Error::new(format!(
            "such that arms of `defined` name surfaces of the section `surfaces`; {unknown} is none"
        )))
    }
}

impl Settings {
    /// What the gateway does for each surface.
    #[must_use]
    pub fn surface_parts(&self) -> Vec<SurfaceParts> {
        let parts = self.surfaces.iter().map(|(name, surface)| SurfaceParts {
            name: name.as_str().into(),
            k: surface.k.map(|k| k.min(self.server.k_max)),
            budget: surface
                .budget_ms
                .map(|ms| Duration::from_millis(ms.min(self.budget.ceiling_ms))),
            candidates: surface.candidates,
            value: surface.value.as_deref().map(Into::into),
            rule_inputs: Arc::new(rule_inputs(&self.reranking, &surface.rules)),
        });
        parts.collect()
    }

    /// Formulas of values of the surfaces that have one, each with its setting.
    #[must_use]
    pub fn surface_formulas(&self) -> Vec<(String, Arc<str>)> {
        let of = |(name, surface): (&String, &SurfaceOptions)| {
            Some((format!("surfaces.{name}.value"), surface.value.as_deref()?.into()))
        };
        self.surfaces.iter().filter_map(of).collect()
    }

    /// Rules of each surface.
    #[must_use]
    pub fn surface_rules(&self) -> BTreeMap<String, Vec<RuleOptions>> {
        let of =
            |(name, surface): (&String, &SurfaceOptions)| (name.clone(), surface.rules.clone());
        self.surfaces.iter().map(of).collect()
    }

    /// What retrieval does for each surface.
    #[must_use]
    pub fn surface_candidates(&self) -> BTreeMap<String, SurfaceCandidates> {
        let quota = |(name, share): (&String, &f64)| {
            let weight = self.retrieval.quotas.get(name).map_or(1.0, |quota| quota.weight);
            (name.clone(), Quota { share: *share, weight })
        };
        let of = |(name, surface): (&String, &SurfaceOptions)| {
            let sources = surface.sources.iter().map(quota).collect();
            let filter = surface.filter.clone();
            let shown_too_often = surface.shown_too_often.clone();
            (name.clone(), SurfaceCandidates { sources, filter, shown_too_often })
        };
        self.surfaces.iter().map(of).collect()
    }
}
