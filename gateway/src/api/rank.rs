//! `POST /v1/rank`.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use plugrank_budget::Rung;
use plugrank_contract::{
    FeatureValues, Filter, TimestampMs,
    feature::present,
    retrieval::{SourceNames, SourceSet},
    scoring::TaskScores,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type},
    },
};
use uuid::Uuid;

use super::{features::features_schema, filter::FilterSchema};

/// Asks for a ranking. Texts lie in the body they came in.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RankRequest<'a> {
    /// For whom. An unknown user gets a ranking too.
    #[serde(borrow)]
    #[schema(min_length = 1, max_length = 256, example = "u1")]
    pub user_id: Cow<'a, str>,
    /// How many items, 500 at most; 20 when left out, unless configured otherwise.
    #[schema(minimum = 1, maximum = 500, example = 20)]
    pub k: Option<i64>,
    /// Where the list is shown: a surface of the settings, whose sources, filter, rules, budget and
    /// number of items hold.
    #[serde(borrow)]
    pub surface: Option<Cow<'a, str>>,
    /// The `cursor` of the page before: what the pages so far have shown does not come again. With the
    /// same user and surface.
    #[serde(borrow)]
    pub cursor: Option<Cow<'a, str>>,
    /// Rank exactly these items instead of retrieving some: ids, or ids with what the model reads of
    /// them here and now.
    #[serde(borrow)]
    #[schema(schema_with = candidates_schema, example = json!(["i1", "i2", "i3"]))]
    pub candidates: Option<Vec<Candidate<'a>>>,
    /// Leave these items out.
    #[serde(borrow)]
    #[schema(schema_with = ids_schema, example = json!(["i3"]))]
    pub exclude: Option<Vec<IdText<'a>>>,
    /// Rank only items that meet this filter; as many come as are asked for, whenever as many meet it.
    #[schema(value_type = Option<FilterSchema>)]
    pub filter: Option<Filter>,
    /// The situation to rank in.
    #[serde(borrow)]
    pub context: Option<RankContext<'a>>,
    /// What is said of the user for this request alone.
    #[serde(borrow)]
    pub user: Option<RankUser<'a>>,
    /// Latency budget in milliseconds; the configured one when left out.
    #[schema(minimum = 1, example = 50)]
    pub budget_ms: Option<i64>,
    /// Version of the model that answers, one that is active or ready; the active one when left out.
    #[serde(borrow)]
    pub model: Option<Cow<'a, str>>,
    /// The highest rung to answer on, for comparisons: `ctr_order`, `fewer_candidates`,
    /// `missing_vectors`, `idrec` (the ID-based model alone) or `retrieval_order`.
    #[serde(borrow)]
    #[schema(schema_with = rung_schema)]
    pub rung: Option<Cow<'a, str>>,
    /// What similarity to the items above counts against click probability, 0 (nothing) to 0.99; as
    /// configured when left out.
    #[schema(minimum = 0, maximum = 0.99, example = 0.2)]
    pub diversity: Option<f32>,
    /// Arms by experiment, in place of those that would be dealt; for tests, where the settings allow it
    /// (`experiments.forced_arms`).
    #[schema(example = json!({}))]
    pub arms: Option<BTreeMap<String, String>>,
    /// Also say what was left out and why, and what put each item at its place.
    #[serde(default)]
    pub explain: bool,
}

/// An id as a body spells it.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct IdText<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A candidate.
#[derive(Clone, Debug)]
pub enum Candidate<'a> {
    /// Its id.
    Id(IdText<'a>),
    /// Its id, and what is given of it.
    Given(GivenCandidate<'a>),
}

/// A candidate with what is given of it for this request.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenCandidate<'a> {
    /// Which item.
    #[serde(borrow)]
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    pub item_id: IdText<'a>,
    /// Features of the candidate, by name: those of the bundle's `features.candidate` are read.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = features_schema)]
    pub features: FeatureValues,
}

fn id_schema() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(256))
}

fn ids_schema() -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(id_schema()).max_items(Some(1000)).build()))
}

fn candidates_schema() -> RefOr<Schema> {
    let candidate = OneOfBuilder::new().item(id_schema()).item(GivenCandidate::schema());
    let list = ArrayBuilder::new().items(candidate).min_items(Some(1)).max_items(Some(1000));
    let kinds = SchemaType::from_iter([Type::Array, Type::Null]);
    RefOr::T(Schema::Array(list.schema_type(kinds).build()))
}

fn context_items_schema() -> RefOr<Schema> {
    RefOr::T(Schema::Array(ArrayBuilder::new().items(id_schema()).max_items(Some(100)).build()))
}

fn rung_schema() -> RefOr<Schema> {
    let names = Rung::ALL.map(|rung| Some(rung.as_str()));
    let kinds = SchemaType::from_iter([Type::String, Type::Null]);
    let rung = ObjectBuilder::new().schema_type(kinds);
    let rung = rung
        .enum_values(Some(names.into_iter().chain([None])))
        .examples([serde_json::json!("idrec")]);
    RefOr::T(Schema::Object(rung.build()))
}

impl<'a> Candidate<'a> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &IdText<'a> {
        match self {
            Self::Id(id) | Self::Given(GivenCandidate { item_id: id, .. }) => id,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Candidate<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CandidateVisitor(PhantomData))
    }
}

/// Reads one form or the other, so that an error names the field of the form that was meant.
struct CandidateVisitor<'a>(PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for CandidateVisitor<'a> {
    type Value = Candidate<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, or an object with `item_id` and `features`")
    }

    fn visit_borrowed_str<E: de::Error>(self, id: &'de str) -> Result<Candidate<'a>, E> {
        Ok(Candidate::Id(IdText(Cow::Borrowed(id))))
    }

    fn visit_str<E: de::Error>(self, id: &str) -> Result<Candidate<'a>, E> {
        Ok(Candidate::Id(IdText(Cow::Owned(id.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Candidate<'a>, A::Error> {
        GivenCandidate::deserialize(MapAccessDeserializer::new(map)).map(Candidate::Given)
    }
}

/// What is said of the user for this request alone.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RankUser<'a> {
    /// Features of the user, by name, over those that are stored.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = features_schema)]
    pub features: FeatureValues,
    /// What the user did lately, the latest first, in place of the history that is stored: for users
    /// that is not stored. Only what lies before `context.timestamp` counts.
    #[serde(borrow)]
    #[schema(max_items = 1000, example = json!([{"item_id": "i1"}, {"item_id": "i2", "type": "impression"}]))]
    pub recent: Option<Vec<RecentEvent<'a>>>,
}

/// Something the user did.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecentEvent<'a> {
    /// With which item.
    #[serde(borrow)]
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    pub item_id: IdText<'a>,
    /// A type of the settings (`[events.types]`), `click` and `impression` among them; `click` when left
    /// out.
    #[serde(rename = "type", borrow)]
    #[schema(example = "click")]
    pub kind: Option<Cow<'a, str>>,
    /// How much: a price, seconds, stars.
    #[schema(exclusive_minimum = -3.402_823_567_797_336_6e38, exclusive_maximum = 3.402_823_567_797_336_6e38)]
    pub value: Option<f64>,
    /// When, in milliseconds since 1970; just before the request when left out, in the order of the
    /// list.
    #[schema(value_type = Option<i64>)]
    pub timestamp: Option<TimestampMs>,
}

/// The situation to rank in.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RankContext<'a> {
    /// Items that the ranking should go with, such as those in a cart or the one that a page shows, the
    /// most important first: candidates are looked for by them in place of the user's clicks. They are
    /// not ranked themselves.
    #[serde(default, borrow)]
    #[schema(schema_with = context_items_schema, example = json!(["i1"]))]
    pub items: Vec<IdText<'a>>,
    /// Rank as of this moment, milliseconds since 1970: only behaviour strictly before it counts.
    /// Now when left out.
    #[schema(value_type = Option<i64>, minimum = 0)]
    pub timestamp: Option<TimestampMs>,
    /// Features of the request, by name: those of the bundle's `features.request` are read.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = features_schema)]
    pub features: FeatureValues,
}

/// A ranking, and how it came about.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RankResponse<'a> {
    /// Names the request; to be sent with the events it leads to.
    pub request_id: Uuid,
    /// Version of the model bundle that scored; null when nothing could be scored.
    pub model: Option<&'a str>,
    /// The arm of each layer of experiments in which the request takes part.
    pub experiments: BTreeMap<&'a str, &'a str>,
    /// The surface; absent where the request names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<&'a str>,
    /// Items, best first.
    pub items: Vec<RankedItem<'a>>,
    /// Asks for the next page; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What the request's time went to.
    pub budget: BudgetReport,
    /// The lowest rung that a part of the answer stands on: `full`, `ctr_order`, `fewer_candidates`,
    /// `missing_vectors`, `idrec` or `retrieval_order`.
    pub rung: &'static str,
    /// Why there are no items, for people; absent when there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the answer is less than it could be; empty when it is whole.
    pub degraded: Vec<DegradedReport<'a>>,
    /// What was ranked, and how many vectors were available.
    pub coverage: Coverage,
    /// The trace the request belongs to.
    pub trace_id: Option<&'a str>,
    /// Present when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explanation<'a>>,
}

/// A ranked item.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RankedItem<'a> {
    /// Which item.
    pub item_id: &'a str,
    /// Its place, from 1; over all pages.
    pub rank: u32,
    /// What the order goes by, falling from first to last: the value by the formula where one is set
    /// (`scoring.value`), else `ctr`, and what the rules of re-ranking take off. Null when the order is retrieval's.
    pub score: Option<f32>,
    /// Calibrated probability of the model's main task, a click; null when it could not be scored.
    pub ctr: Option<f32>,
    /// Calibrated probability of each task, where the model has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, f32>>)]
    pub scores: Option<ItemScores<'a>>,
    /// Which sources named it: `caller`, `ann`, `co_visitation`, `category`, `popular`, `fresh`.
    #[schema(value_type = Vec<String>)]
    pub sources: NamedSources<'a>,
    /// With which probability the item has this place, given those before it; absent where nothing is
    /// drawn (section `reranking` of the settings, `exploration_share`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f32>,
}

/// An item's probability of each task.
#[derive(Clone, Copy, Debug)]
pub struct ItemScores<'a> {
    /// The tasks.
    pub tasks: &'a [TaskScores],
    /// The item's place among the candidates.
    pub candidate: usize,
}

impl Serialize for ItemScores<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(
            self.tasks
                .iter()
                .filter_map(|task| Some((&task.task, task.probabilities.get(self.candidate)?))),
        )
    }
}

/// Names of an item's sources.
#[derive(Clone, Copy, Debug)]
pub struct NamedSources<'a> {
    /// What the bits of the set stand for.
    pub names: &'a SourceNames,
    /// The item's sources.
    pub set: SourceSet,
}

impl Serialize for NamedSources<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.set.iter().filter_map(|source| self.names.get(source)))
    }
}

/// What the request's time went to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BudgetReport {
    /// The budget.
    pub total_ms: f64,
    /// What was spent of it.
    pub spent_ms: f64,
    /// The stages, in the order they ran.
    pub stages: Vec<StageReport>,
}

/// One stage's time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StageReport {
    /// `retrieval`, `scoring` or `reranking`.
    pub stage: &'static str,
    /// Time it was given, what earlier stages left unspent included.
    pub allotted_ms: f64,
    /// Time it took.
    pub spent_ms: f64,
    /// `completed`, `cut` (at its allotment), `failed`, or `skipped` (there was nothing to do).
    pub outcome: &'static str,
}

/// Where an answer is less than it could be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DegradedReport<'a> {
    /// The stage it happened in.
    pub stage: &'static str,
    /// What was done instead: a lower rung, or within one `other_sources`, `rule_skipped`,
    /// `scored_lowest`, `without_value`.
    pub rung: &'static str,
    /// `cut` (at its allotment), `failed`, `overloaded`, `partial`, `pressure` (its recent p99 outgrew
    /// its share), `backlog` (the whole answer would have come too late), `pinned` (by the settings), `experiment` (by an arm),
    /// `asked` (by the request).
    /// `non_finite` (the model gave what are no numbers; their `ctr` is null), `no_model` (no process of
    /// the role has the model).
    pub cause: &'static str,
    /// What happened, for people.
    pub detail: &'a str,
}

/// What was ranked, and how many vectors were available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Coverage {
    /// Candidates after retrieval and its filters.
    pub candidates: u32,
    /// Candidates the caller named that the catalog does not have.
    pub unknown: u32,
    /// Items left out by filters, the unknown ones included.
    pub dropped: u32,
    /// Candidates scored.
    pub scored: u32,
    /// Of these, with a record from the in-process tier.
    pub memory: u32,
    /// Of these, with a record from the store.
    pub store: u32,
    /// Of these, encoded for this request.
    pub encoded: u32,
    /// Of these, scored with the missing-vector.
    pub missing: u32,
    /// Entries of the user's history that were read.
    pub history: u32,
}

/// What was left out, and what put each item at its place.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Explanation<'a> {
    /// Items left out, at most a thousand; `coverage.dropped` counts all.
    pub dropped: Vec<DroppedItem<'a>>,
    /// What put each item at its place, in the order of `items`.
    pub placements: Vec<PlacedItem<'a>>,
    /// Rows of the batch the candidates were scored in, its padding included.
    pub batch_rows: u32,
    /// The formula of the items' values, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "click * coalesce(item.price, 0)")]
    pub value: Option<&'a str>,
}

/// An item left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DroppedItem<'a> {
    /// Which item.
    pub item_id: &'a str,
    /// The filter that took it out: `unknown`, `excluded`, `shown`, `seen`,
    /// `unavailable`, `not_yet`, `filter`, `over_limit`.
    pub reason: &'a str,
}

/// What put an item at its place.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlacedItem<'a> {
    /// Which item.
    pub item_id: &'a str,
    /// What put it there: its value (`ranked`), a rule (`pin`, `sponsored`, `min_share`, `explored`),
    /// that nothing else was left (`cap_relaxed`), or the fallback the order comes from.
    pub placement: &'a str,
    /// What the names of the value formula stood for, where there is one; null for what was missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Option<f32>>>)]
    pub value: Option<ValueNumbers<'a>>,
    /// Its place in the order by value, before any rule; absent where the order is a fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_value: Option<u32>,
    /// The rules that moved it, in the order in which they are applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<MovedItem<'a>>,
    /// Probability of each task by the host model alone, without the pre-trained one; absent where there
    /// was no time for it, or the bundle has no such graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, f32>>)]
    pub without_ppm: Option<ItemScores<'a>>,
}

/// What the names of a value formula stood for at an item.
#[derive(Clone, Copy, Debug)]
pub struct ValueNumbers<'a> {
    /// The formula's names.
    pub names: &'a [Arc<str>],
    /// Their numbers; NaN for what was missing.
    pub numbers: &'a [f32],
}

impl Serialize for ValueNumbers<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let finite = |number: &f32| Some(*number).filter(|number| number.is_finite());
        to.collect_map(self.names.iter().zip(self.numbers.iter().map(finite)))
    }
}

/// How far a rule moved an item: its place on the page without the rule and those that are applied after
/// it, and with it. `null`: not on the page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MovedItem<'a> {
    /// The rule.
    pub rule: &'a str,
    /// The place without it, from 1.
    pub from: Option<u32>,
    /// The place with it, from 1.
    pub to: Option<u32>,
}
