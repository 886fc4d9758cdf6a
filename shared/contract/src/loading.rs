//! Calls about models, which every role answers that has some.
//!
//! A model is named by its version, that of the settings by [`SETTINGS`]: processes that are started with
//! another bundle then take its place one by one.

use serde::{Deserialize, Serialize};

use crate::Call;

/// Name of the model of the settings (`bundle.path`).
pub const SETTINGS: &str = "bundle.path";

/// Name of a model in calls: its version, or [`SETTINGS`] where it has no folder among the models.
#[must_use]
pub fn name<'n>(version: &'n str, folder: Option<&str>) -> &'n str {
    folder.map_or(SETTINGS, |_| version)
}

/// Asks whether a bundle can be used, and for its version.
///
/// ```
/// use plugrank_contract::{
///     Call,
///     loading::{CheckBundle, CheckedBundle, LoadBundle, SETTINGS, name},
/// };
///
/// let call = CheckBundle { folder: Some("shop-7".to_owned()) };
/// // What a role answers has the version that the next call names.
/// let checked = CheckedBundle { version: "7".to_owned() };
/// let load = LoadBundle { folder: call.folder, version: checked.version };
/// assert_eq!(name(&load.version, load.folder.as_deref()), "7");
/// assert_eq!(name(&load.version, None), SETTINGS);
/// assert!(LoadBundle::EVERY_REPLICA && !CheckBundle::EVERY_REPLICA);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckBundle {
    /// Name of its folder among the models; none for the bundle of the settings.
    pub folder: Option<String>,
}

/// Reply to [`CheckBundle`].
///
/// [`CheckBundle`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedBundle {
    /// Its version.
    pub version: String,
}

impl Call for CheckBundle {
    type Reply = CheckedBundle;
    const PATH: &'static str = "/rpc/v1/models/check";
    const IDEMPOTENT: bool = true;
}

/// Has a process load a bundle beside the models it has. Answered when the bundle is checked; how far loading
/// is, [`ListModels`] tells. One that is there or loading already is left as it is.
///
/// [`CheckBundle`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBundle {
    /// Name of its folder among the models; none for the bundle of the settings.
    pub folder: Option<String>,
    /// The version it must have.
    pub version: String,
}

impl Call for LoadBundle {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/models/load";
    const IDEMPOTENT: bool = true;
    const EVERY_REPLICA: bool = true;
}

/// Asks for the whole bundles in the folder of models.
///
/// ```
/// use plugrank_contract::{
///     Call,
///     loading::{BundlesListed, ListBundles},
/// };
///
/// let reply = BundlesListed { folders: vec![("shop-7".to_owned(), 42)] };
/// let wire = postcard::to_stdvec(&reply).unwrap();
/// assert_eq!(postcard::from_bytes::<<ListBundles as Call>::Reply>(&wire).unwrap(), reply);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListBundles {}

/// Reply to [`ListBundles`].
///
/// [`ListBundles`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundlesListed {
    /// Name of each folder, and a number that changes with what is in it.
    pub folders: Vec<(String, u64)>,
}

impl Call for ListBundles {
    type Reply = BundlesListed;
    const PATH: &'static str = "/rpc/v1/models/list";
    const IDEMPOTENT: bool = true;
}

/// Asks which models a process has. The answer of several is what all of them have.
///
/// [`ModelsListed`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListModels {}

/// Reply to [`ListModels`].
///
/// ```
/// use plugrank_contract::{
///     Call,
///     loading::{ListModels, LoadState, ListedModel, ModelsListed},
/// };
///
/// let has = |name: &str| ModelsListed {
///     models: vec![ListedModel {
///         name: name.to_owned(),
///         version: name.to_owned(),
///         state: LoadState::Ready,
///     }],
/// };
/// assert_eq!(has("7").state("7"), LoadState::Ready);
/// // Two processes together have what both have.
/// assert_eq!(ListModels::merge(has("7"), has("8")).state("7"), LoadState::Absent);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsListed {
    /// By name, ascending.
    pub models: Vec<ListedModel>,
}

/// A model of a process.
///
/// [`ModelsListed`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedModel {
    /// Its [`name`].
    pub name: String,
    /// Version of its bundle.
    pub version: String,
    /// Whether it can be called.
    pub state: LoadState,
}

/// State of a model in a process, or in the one of several that is furthest behind.
///
/// [`ModelsListed`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LoadState {
    /// It answers calls that name it.
    Ready,
    /// It is being loaded.
    Loading {
        /// What is done now.
        phase: String,
        /// Rows of it that are done.
        done: u64,
        /// Rows there are; 0 while that is unknown.
        of: u64,
    },
    /// A process does not have it.
    Absent,
    /// It cannot be loaded, and why.
    Failed(String),
}

impl ModelsListed {
    /// State of a model; absent where it is not listed.
    #[must_use]
    pub fn state(&self, name: &str) -> LoadState {
        let model = self.models.iter().find(|model| model.name == name);
        model.map_or(LoadState::Absent, |model| model.state.clone())
    }
}

impl Call for ListModels {
    type Reply = ModelsListed;
    const PATH: &'static str = "/rpc/v1/models/states";
    const IDEMPOTENT: bool = true;
    const EVERY_REPLICA: bool = true;

    /// Each model that either has, in the state of the process that is further behind.
    fn merge(one: ModelsListed, other: ModelsListed) -> ModelsListed {
        let behind = |model: &ListedModel| {
            let state = one.state(&model.name).max(other.state(&model.name));
            ListedModel { state, ..model.clone() }
        };
        let only_one = one
            .models
            .iter()
            .filter(|model| !other.models.iter().any(|known| known.name == model.name));
        let mut models: Vec<ListedModel> =
            other.models.iter().chain(only_one).map(behind).collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        ModelsListed { models }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(models: &[(&str, LoadState)]) -> ModelsListed {
        let model = |(name, state): &(&str, LoadState)| ListedModel {
            name: (*name).to_owned(),
            version: (*name).to_owned(),
            state: state.clone(),
        };
        ModelsListed { models: models.iter().map(model).collect() }
    }

    #[test]
    fn merged_load_states_are_the_least_advanced() {
        let loading = |done| LoadState::Loading { phase: "items".to_owned(), done, of: 9 };
        let failed = LoadState::Failed("no room".to_owned());
        let one = here(&[("a", LoadState::Ready), ("b", LoadState::Ready), ("c", loading(3))]);
        let other =
            here(&[("a", LoadState::Ready), ("c", LoadState::Ready), ("d", failed.clone())]);
        let both = ListModels::merge(one, other);
        assert_eq!(
            both,
            here(&[
                ("a", LoadState::Ready),
                ("b", LoadState::Absent),
                ("c", loading(3)),
                ("d", failed),
            ])
        );
        assert_eq!(both.state("e"), LoadState::Absent);
    }

    #[test]
    fn a_model_is_named_by_its_version_and_the_configured_one_as_bundle_path() {
        assert_eq!((name("7", Some("shop-7")), name("7", None)), ("7", "bundle.path"));
    }
}
