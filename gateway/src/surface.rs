//! Surfaces: the places of a shop where lists are shown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use plugrank_contract::{retrieval::SurfaceName, scoring::RuleInputs};
use prometheus_client::metrics::counter::Counter;

/// What the gateway does for requests of a surface. What has no value is as for requests that name no
/// surface.
#[derive(Clone, Debug, Default)]
pub struct SurfaceParts {
    /// Its name.
    pub name: SurfaceName,
    /// Items in an answer when the caller does not say.
    pub k: Option<u32>,
    /// Latency budget when the caller does not say.
    pub budget: Option<Duration>,
    /// Candidates asked of retrieval.
    pub candidates: Option<u32>,
    /// What its items are worth: a formula.
    pub value: Option<Arc<str>>,
    /// What its rules of re-ranking read of items.
    pub rule_inputs: Arc<RuleInputs>,
}

/// A surface, ready for its requests. Made once, at the start. What is `None` is as the settings say for
/// requests that name none, which may change while it serves.
#[derive(Debug)]
pub(crate) struct Surface {
    /// Its name; empty for requests that name none.
    pub(crate) name: SurfaceName,
    pub(crate) k: Option<u32>,
    pub(crate) budget: Option<Duration>,
    pub(crate) candidates: Option<u32>,
    pub(crate) value: Option<Arc<str>>,
    pub(crate) rule_inputs: Arc<RuleInputs>,
    /// Its rankings.
    pub(crate) answers: Counter,
}

/// The surfaces by name.
#[derive(Debug)]
pub(crate) struct Surfaces {
    none: Arc<Surface>,
    named: HashMap<SurfaceName, Arc<Surface>>,
    /// Their names, for people.
    known: String,
}

impl Surfaces {
    /// Those of the settings over what holds for requests that name none; `answers` counts the rankings
    /// of each.
    pub(crate) fn new(
        none: &SurfaceParts,
        named: Vec<SurfaceParts>,
        answers: impl Fn(&str) -> Counter,
    ) -> Self {
        let known: Vec<&str> = named.iter().map(|surface| &*surface.name).collect();
        let known = match known.is_empty() {
            true => "the settings have none (section `surfaces`)".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        let ready = |surface: &SurfaceParts| {
            Arc::new(Surface {
                name: Arc::clone(&surface.name),
                k: surface.k,
                budget: surface.budget,
                candidates: surface.candidates,
                value: surface.value.clone(),
                rule_inputs: Arc::clone(&surface.rule_inputs),
                answers: answers(&surface.name),
            })
        };
        let by_name = named.iter().map(|surface| (Arc::clone(&surface.name), ready(surface)));
        Self { none: ready(none), named: by_name.collect(), known }
    }

    /// The surface of a request.
    ///
    /// # Errors
    /// When there is none of that name: what there is.
    pub(crate) fn get(&self, name: Option<&str>) -> Result<&Arc<Surface>, String> {
        let Some(name) = name else { return Ok(&self.none) };
        let unknown = || format!("is {name:?}, which is no surface; {}", self.known);
        self.named.get(name).ok_or_else(unknown)
    }

    /// That of requests that name none.
    pub(crate) fn unnamed(&self) -> &Arc<Surface> {
        &self.none
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Counter, SurfaceParts, Surfaces};

    /// A surface of this name.
    pub(crate) fn surface(name: &str) -> super::Surface {
        super::Surface {
            name: name.into(),
            k: None,
            budget: None,
            candidates: None,
            value: None,
            rule_inputs: Default::default(),
            answers: Counter::default(),
        }
    }

    #[test]
    fn unknown_surfaces_are_refused_with_the_list_of_surfaces() {
        let none = SurfaceParts::default();
        let named = |name: &str| SurfaceParts { name: name.into(), ..SurfaceParts::default() };
        let home = SurfaceParts { k: Some(5), ..named("home") };
        let surfaces = Surfaces::new(&none, vec![named("cart"), home], |_| Counter::default());
        let home = surfaces.get(Some("home")).unwrap();
        assert_eq!((&*home.name, home.k, home.candidates), ("home", Some(5), None));
        let unnamed = surfaces.get(None).unwrap();
        assert_eq!((&*unnamed.name, unnamed.k), ("", None));
        let message = surfaces.get(Some("hom")).unwrap_err();
        assert_eq!(message, "is \"hom\", which is no surface; there are cart, home");
        let none = Surfaces::new(&none, Vec::new(), |_| Counter::default());
        assert!(none.get(Some("")).unwrap_err().contains("the settings have none"));
    }
}
