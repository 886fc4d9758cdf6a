//! Where candidates come from.

mod ann;
mod category;
mod co_visitation;
mod fresh;
mod fresh_in_categories;
mod gather;
mod popular;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use plugrank_contract::{
    CallError, Filter, ItemIndex,
    retrieval::{Name, SourceNames, SourceSet, SurfaceName},
};
use plugrank_items::View;

use crate::{
    RetrievalError, RetrievalOptions,
    answer::Answer,
    options::{Quota, SurfaceCandidates},
    query::RetrievalQuery,
    shown_too_often::ShownTooOftenOptions,
    state::RetrievalState,
};

pub(crate) use gather::gather;

/// The sources, in the order in which their lists are merged.
const SOURCES: &[Listed] = &[
    listed::<ann::Ann>(),
    listed::<co_visitation::CoVisitation>(),
    listed::<category::Category>(),
    listed::<popular::Popular>(),
    listed::<fresh::Fresh>(),
    listed::<fresh_in_categories::FreshInCategories>(),
];

/// Name of the source that stands for the caller, who names candidates without being asked.
const CALLER: &str = "caller";

const _: () = assert!(SOURCES.len() < SourceSet::MAX, "a `SourceSet` has no place for so many");

/// Names candidates for a request, best first.
///
/// A source need not leave out what the filters take out; but what [`RetrievalQuery::blocks`] it does well
/// not to count, so that enough is left.
pub(crate) trait RetrievalSource: Send + Sync + 'static {
    /// What to call it in settings and replies.
    const NAME: &'static str;
    /// Its part of the candidates, unless the settings say otherwise.
    const QUOTA: Quota;
    /// A source with what it keeps from request to request.
    fn new(options: &RetrievalOptions) -> Self
    where
        Self: Sized;
    /// Names about `enough` candidates. Nothing to go by is no failure but an empty list.
    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found>;
}

/// What a source is asked with.
#[derive(Clone, Copy)]
pub(crate) struct SourceRequest<'a> {
    /// What retrieval knows.
    pub(crate) state: &'a Arc<RetrievalState>,
    /// The catalog, the same for all parts of the request.
    pub(crate) view: &'a View<'a>,
    /// What is asked.
    pub(crate) query: &'a Arc<RetrievalQuery>,
}

/// Items a source names, best first, or why it cannot.
pub(crate) type Found = Result<Vec<ItemIndex>, String>;

/// A source as the list has it.
#[derive(Clone, Copy)]
pub(crate) struct Listed {
    name: &'static str,
    quota: Quota,
    make: fn(&RetrievalOptions) -> Box<dyn AnySource>,
}

const fn listed<S: RetrievalSource>() -> Listed {
    Listed { name: S::NAME, quota: S::QUOTA, make: |options| Box::new(S::new(options)) }
}

/// A [`RetrievalSource`] of any type.
trait AnySource: Send + Sync {
    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found>;
}

impl<S: RetrievalSource> AnySource for S {
    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found> {
        RetrievalSource::retrieve(self, request, enough)
    }
}

/// A source, ready to be asked.
pub(crate) struct Active {
    name: &'static str,
    set: SourceSet,
    source: Box<dyn AnySource>,
}

/// What candidates of a surface come from. Made once, at the start.
pub(crate) struct Plan {
    /// The sources that are asked, by their places, each with its part.
    quotas: Vec<(usize, Quota)>,
    /// What every candidate meets.
    pub(crate) filter: Filter,
    /// What the user was shown too often to be a candidate.
    pub(crate) shown_too_often: ShownTooOftenOptions,
}

/// The sources of a service.
pub(crate) struct Sources {
    all: Vec<Active>,
    /// Of requests that name no surface.
    plan: Plan,
    plans: HashMap<SurfaceName, Plan>,
    /// Names of all, and of the caller.
    names: SourceNames,
    popular: SourceSet,
}

/// Names of the sources there are, as settings name them.
#[must_use]
pub fn source_names() -> Vec<&'static str> {
    SOURCES.iter().map(|source| source.name).collect()
}

impl Sources {
    /// The sources with their quotas; those whose share is 0 are not asked.
    ///
    /// # Errors
    /// When a quota is of a source that does not exist, or impossible.
    pub(crate) fn new(options: &RetrievalOptions) -> Result<Self, RetrievalError> {
        Self::listed(SOURCES, options)
    }

    fn listed(listed: &[Listed], options: &RetrievalOptions) -> Result<Self, RetrievalError> {
        check_quotas(listed, "quotas", &options.quotas)?;
        let name = |source: &Listed| Name::Borrowed(source.name);
        let names = listed.iter().map(name).chain([Name::Borrowed(CALLER)]).collect();
        let set = |name: &str| listed.iter().position(|one| one.name == name).map(SourceSet::only);
        let all = listed.iter().enumerate().map(|(place, listed)| Active {
            name: listed.name,
            set: SourceSet::only(place),
            source: (listed.make)(options),
        });
        let own = |one: &Listed| Some(options.quotas.get(one.name).copied().unwrap_or(one.quota));
        let mut plans = HashMap::new();
        for (surface, SurfaceCandidates { sources, filter, shown_too_often }) in &options.surfaces {
            check_quotas(listed, &format!("surfaces.{surface}.sources"), sources)?;
            let quotas = match sources.is_empty() {
                true => asked(listed, own),
                false => asked(listed, |one| sources.get(one.name).copied()),
            };
            let shown_too_often =
                shown_too_often.clone().unwrap_or(options.shown_too_often.clone());
            let plan = Plan { quotas, filter: filter.clone(), shown_too_often };
            plans.insert(surface.as_str().into(), plan);
        }
        Ok(Self {
            all: all.collect(),
            plan: Plan {
                quotas: asked(listed, own),
                filter: Filter::default(),
                shown_too_often: options.shown_too_often.clone(),
            },
            plans,
            names,
            popular: set(popular::Popular::NAME).unwrap_or_default(),
        })
    }

    /// What is asked for a surface.
    ///
    /// # Errors
    /// When the settings have no such surface.
    pub(crate) fn plan(&self, surface: &str) -> Result<&Plan, CallError> {
        if surface.is_empty() {
            return Ok(&self.plan);
        }
        self.plans.get(surface).ok_or_else(|| {
            let message = format!("the settings of retrieval have no surface {surface:?}");
            CallError::invalid(message)
        })
    }

    /// The sources of a plan, each with its part.
    pub(crate) fn asked<'s>(
        &'s self,
        plan: &'s Plan,
    ) -> impl ExactSizeIterator<Item = (&'s Active, Quota)> + Clone {
        plan.quotas.iter().map(|(place, quota)| (&self.all[*place], *quota))
    }

    /// Names by the places of [`SourceSet`]s.
    pub(crate) fn names(&self) -> SourceNames {
        Arc::clone(&self.names)
    }

    /// The source that the list is filled from.
    pub(crate) fn popular(&self) -> SourceSet {
        self.popular
    }

    /// The source of candidates that the caller names.
    pub(crate) fn caller(&self) -> SourceSet {
        SourceSet::only(self.names.len() - 1)
    }
}

/// The sources that have a part, with their places.
fn asked(listed: &[Listed], quota: impl Fn(&Listed) -> Option<Quota>) -> Vec<(usize, Quota)> {
    let quotas = listed.iter().enumerate().filter_map(|(at, one)| Some((at, quota(one)?)));
    quotas.filter(|(_, quota)| quota.share > 0.0).collect()
}

/// Checks that quotas are of sources there are, and possible.
fn check_quotas(
    listed: &[Listed],
    key: &str,
    quotas: &BTreeMap<String, Quota>,
) -> Result<(), RetrievalError> {
    for (name, quota) in quotas {
        let problem = if listed.iter().all(|source| source.name != name) {
            let known: Vec<&str> = listed.iter().map(|source| source.name).collect();
            format!("is no source; there are {}", known.join(", "))
        } else if !(0.0..=1.0).contains(&quota.share) {
            "`share` must be from 0 to 1".to_owned()
        } else if !(quota.weight > 0.0 && quota.weight.is_finite()) {
            "`weight` must be a number above 0".to_owned()
        } else {
            continue;
        };
        return Err(RetrievalError::Options { field: format!("{key}.{name}"), problem });
    }
    Ok(())
}

/// Items that can be shown and are wanted, newest first.
fn newest<'a>(request: SourceRequest<'a>) -> impl Iterator<Item = ItemIndex> + 'a {
    let SourceRequest { view, query, .. } = request;
    let few = query.narrowed.as_ref().and_then(|narrowed| narrowed.few_newest(view, query.as_of));
    let all = few.is_none().then(|| view.newest(query.as_of));
    // The order by age may be newer than the view.
    let ranking = few.into_iter().flatten().chain(all.into_iter().flatten());
    ranking.filter(|index| view.available(*index) && query.wants(*index))
}

/// The first items of a ranking until `enough` of them are not blocked. Blocked ones that are
/// passed on the way are named too, so that the filters can say what happened to them.
fn until_enough(
    ranking: impl Iterator<Item = ItemIndex>,
    query: &RetrievalQuery,
    enough: usize,
) -> impl Iterator<Item = ItemIndex> {
    let mut free = 0;
    ranking.take_while(move |index| {
        let more = free < enough;
        free += usize::from(more && !query.blocks(*index));
        more
    })
}

/// The same as a list.
fn take_unblocked(
    ranking: impl Iterator<Item = ItemIndex>,
    query: &RetrievalQuery,
    enough: usize,
) -> Vec<ItemIndex> {
    let mut named = Vec::with_capacity(enough + query.seen.len());
    named.extend(until_enough(ranking, query, enough));
    named
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
