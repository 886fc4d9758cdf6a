//! From columns to what graphs read: rows of cells, each an id or the bits of an f32.

mod column;
mod number;
mod presence;
mod schema;
mod seen;
mod time;

use std::{collections::HashMap, ops::Range, sync::Arc};

use plugrank_contract::{
    FeatureValue, FeatureValues, HistoryEntry, Item, ItemId, TensorDtype, TimestampMs, User, UserId,
};

use self::{
    column::{Column, Found},
    time::RequestTime,
};
use crate::{Bundle, BundleError, vocabulary::Vocabulary};

pub use column::{MISSING, UNKNOWN};
pub use presence::Presence;
pub use schema::{ACTION, Derive, Feature, FeatureKind, Features, Observed, Transform, VALUE};
pub use seen::{Seen, SeenFeatures};

/// Where a feature's cells are within a row.
///
/// ```
/// use plugrank_bundle::{TensorDtype, features::FeatureSlot};
///
/// let brand =
///     FeatureSlot { name: "brand".to_owned(), offset: 3, length: 2, dtype: TensorDtype::I64 };
/// let row = [9, 9, 9, 7, 8];
/// assert_eq!(row[brand.cells()], [7, 8]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSlot {
    /// Name of the feature.
    pub name: String,
    /// First cell.
    pub offset: usize,
    /// Cells.
    pub length: usize,
    /// What graphs read: ids (i64), or numbers (f32), whose cells are their bits.
    pub dtype: TensorDtype,
}

impl FeatureSlot {
    /// Its cells within a row.
    #[must_use]
    pub fn cells(&self) -> Range<usize> {
        self.offset..self.offset + self.length
    }
}

/// All cells of one item: its features one after another.
pub type ItemFeatures = Box<[u32]>;

/// A value that cannot be that of the feature it was given for.
///
/// ```
/// use plugrank_bundle::features::WrongValue;
///
/// let wrong = WrongValue { column: "price".to_owned(), detail: "must be a number".to_owned() };
/// assert_eq!(format!("`{}` {}", wrong.column, wrong.detail), "`price` must be a number");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongValue {
    /// The column it was given as.
    pub column: String,
    /// What is wrong.
    pub detail: String,
}

/// The features of items, users, requests, candidates or history entries, in the manifest's order.
#[derive(Debug)]
struct Group {
    columns: Vec<Column>,
    slots: Vec<FeatureSlot>,
    width: usize,
}

impl Group {
    fn row<'a>(&self, found: impl Fn(&Column) -> Found<'a>) -> Box<[u32]> {
        let mut row = Vec::with_capacity(self.width);
        self.push_row(found, &mut row);
        row.into_boxed_slice()
    }

    fn push_row<'a>(&self, found: impl Fn(&Column) -> Found<'a>, row: &mut Vec<u32>) {
        let mut scratch = String::new();
        for column in &self.columns {
            column.push(found(column), &mut scratch, row);
        }
    }

    fn wrong(&self, values: &FeatureValues) -> Option<WrongValue> {
        self.columns.iter().find_map(|column| {
            let detail = column.refuses(values.get(&column.column)?)?;
            Some(WrongValue { column: column.column.clone(), detail })
        })
    }

    fn probes(&self) -> impl Iterator<Item = (&FeatureSlot, Vec<u32>)> {
        self.slots.iter().zip(self.columns.iter().map(Column::probes))
    }
}

/// Turns items, users, requests and what callers give of candidates into rows of cells.
///
/// ```
/// use std::path::Path;
///
/// use plugrank_bundle::{Bundle, features::UNKNOWN};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/simshop/bundle");
/// let features = Bundle::open(Path::new(folder)).unwrap().feature_encoder().unwrap();
/// // An item that training never saw has the id of the unknown.
/// let slot = features.item_slots().iter().find(|slot| slot.name == "item_id").unwrap();
/// let row = features.missing_item(&"never seen".into());
/// assert_eq!(row[slot.cells()], [UNKNOWN]);
/// // A user without a profile has a row too.
/// let user: usize = features.user_slots().iter().map(|slot| slot.length).sum();
/// assert_eq!(features.user(&"ann".into(), None).len(), user);
/// ```
#[derive(Debug)]
pub struct FeatureEncoder {
    item: Group,
    user: Group,
    request: Group,
    candidate: Group,
    history: Group,
    time: RequestTime,
}

impl Bundle {
    /// Reads the vocabularies.
    ///
    /// # Errors
    /// When a vocabulary cannot be read or names a value twice.
    pub fn feature_encoder(&self) -> Result<FeatureEncoder, BundleError> {
        FeatureEncoder::load(self)
    }
}

impl FeatureEncoder {
    fn load(bundle: &Bundle) -> Result<Self, BundleError> {
        let manifest = bundle.manifest();
        let mut read: HashMap<&str, Arc<Vocabulary>> = HashMap::new();
        let Features { item, user, request, candidate, history } = &manifest.features;
        let [item, user, request, candidate, history] = [item, user, request, candidate, history]
            .map(|features| group(bundle, &mut read, features));
        Ok(Self {
            item: item?,
            user: user?,
            request: request?,
            candidate: candidate?,
            history: history?,
            time: RequestTime { timezone: manifest.timezone, kind: manifest.time },
        })
    }

    /// Where each item feature is in a row.
    #[must_use]
    pub fn item_slots(&self) -> &[FeatureSlot] {
        &self.item.slots
    }

    /// Where each user feature is in a row.
    #[must_use]
    pub fn user_slots(&self) -> &[FeatureSlot] {
        &self.user.slots
    }

    /// Where each request feature is in a row.
    #[must_use]
    pub fn request_slots(&self) -> &[FeatureSlot] {
        &self.request.slots
    }

    /// Where each feature given of a candidate is in a row.
    #[must_use]
    pub fn candidate_slots(&self) -> &[FeatureSlot] {
        &self.candidate.slots
    }

    /// Where action and value are in the row of a history entry.
    #[must_use]
    pub fn history_slots(&self) -> &[FeatureSlot] {
        &self.history.slots
    }

    /// Cells of one history entry's row.
    #[must_use]
    pub fn history_width(&self) -> usize {
        self.history.width
    }

    /// Cells of one candidate's row.
    #[must_use]
    pub fn candidate_width(&self) -> usize {
        self.candidate.width
    }

    /// Cells at the ends of each item feature's range.
    pub fn item_probes(&self) -> impl Iterator<Item = (&FeatureSlot, Vec<u32>)> {
        self.item.probes()
    }

    /// Cells at the ends of each user feature's range.
    pub fn user_probes(&self) -> impl Iterator<Item = (&FeatureSlot, Vec<u32>)> {
        self.user.probes()
    }

    /// Cells at the ends of each request feature's range.
    pub fn request_probes(&self) -> impl Iterator<Item = (&FeatureSlot, Vec<u32>)> {
        self.request.probes()
    }

    /// Cells at the ends of the range of each feature given of candidates.
    pub fn candidate_probes(&self) -> impl Iterator<Item = (&FeatureSlot, Vec<u32>)> {
        self.candidate.probes()
    }

    /// Cells at the ends of the ranges of action and value.
    pub fn history_probes(&self) -> impl Iterator<Item = (&FeatureSlot, Vec<u32>)> {
        self.history.probes()
    }

    /// What the bundle reads of entries of a history beside their items, one row each.
    #[must_use]
    pub fn history(&self, entries: &[HistoryEntry]) -> Vec<u32> {
        let mut rows = Vec::with_capacity(entries.len() * self.history.width);
        for entry in entries {
            self.history.push_row(|column| column_of_entry(entry, column), &mut rows);
        }
        rows
    }

    /// The row of an item.
    #[must_use]
    pub fn item(&self, item: &Item) -> ItemFeatures {
        self.item.row(|column| column_of_item(item, column))
    }

    /// The row of an item of which nothing but the id is known.
    #[must_use]
    pub fn missing_item(&self, id: &ItemId) -> ItemFeatures {
        self.item.row(|column| match &*column.column {
            "item_id" => Found::Text(id.as_str()),
            _ => Found::Nothing,
        })
    }

    /// The row of a user; of a user without a profile only the id is known.
    #[must_use]
    pub fn user(&self, id: &UserId, profile: Option<&User>) -> Box<[u32]> {
        self.user.row(|column| column_of_user(id, profile, column))
    }

    /// The row of a request of this moment.
    #[must_use]
    pub fn request(&self, given: &FeatureValues, at: TimestampMs) -> Box<[u32]> {
        if self.request.columns.is_empty() {
            return Box::default();
        }
        let derived: Vec<Option<FeatureValue>> =
            self.request.columns.iter().map(|one| self.time.value_at(at, one.derive?)).collect();
        let mut row = Vec::with_capacity(self.request.width);
        let mut scratch = String::new();
        for (column, derived) in self.request.columns.iter().zip(&derived) {
            let found = match column.derive {
                Some(_) => derived.as_ref(),
                None => given.get(&column.column),
            };
            column.push(found.into(), &mut scratch, &mut row);
        }
        row.into_boxed_slice()
    }

    /// The number that a feature of the request has at this moment; `None` where it has none, or there is no
    /// such feature.
    #[must_use]
    pub fn request_number(
        &self,
        name: &str,
        given: &FeatureValues,
        at: TimestampMs,
    ) -> Option<f64> {
        let column = self.request.columns.iter().find(|column| column.name == name)?;
        let number = |value: &FeatureValue| value.numbers().first().map(|number| number.as_f64());
        match column.derive {
            Some(derive) => number(&self.time.value_at(at, derive)?),
            None => number(given.get(&column.column)?),
        }
    }

    /// Appends the row of what was given of a candidate.
    pub fn push_candidate(&self, given: &FeatureValues, rows: &mut Vec<u32>) {
        self.candidate.push_row(|column| given.get(&column.column).into(), rows);
    }

    /// A value among those of a request that its feature cannot have.
    #[must_use]
    pub fn wrong_request(&self, given: &FeatureValues) -> Option<WrongValue> {
        self.request.wrong(given)
    }

    /// A value among those of a candidate that its feature cannot have.
    #[must_use]
    pub fn wrong_candidate(&self, given: &FeatureValues) -> Option<WrongValue> {
        self.candidate.wrong(given)
    }

    /// A value among those of a user that its feature cannot have.
    #[must_use]
    pub fn wrong_user(&self, given: &FeatureValues) -> Option<WrongValue> {
        self.user.wrong(given)
    }

    /// A value among those of an item that its feature cannot have.
    #[must_use]
    pub fn wrong_item(&self, given: &FeatureValues) -> Option<WrongValue> {
        self.item.wrong(given)
    }
}

fn column_of_item<'a>(item: &'a Item, column: &Column) -> Found<'a> {
    match &*column.column {
        "item_id" => Found::Text(item.item_id.as_str()),
        "title" => Found::Text(&item.title),
        "text" => Found::Text(&item.text),
        "categories" => Found::Texts(&item.categories),
        other => item.features.get(other).into(),
    }
}

fn column_of_user<'a>(id: &'a UserId, user: Option<&'a User>, column: &Column) -> Found<'a> {
    match &*column.column {
        "user_id" => Found::Text(id.as_str()),
        other => user.and_then(|user| user.features.get(other)).into(),
    }
}

fn column_of_entry<'a>(entry: &'a HistoryEntry, column: &Column) -> Found<'a> {
    match &*column.column {
        ACTION => entry.action.as_deref().map_or(Found::Nothing, Found::Text),
        _ => entry.value.map_or(Found::Nothing, Found::Number),
    }
}

fn group<'a>(
    bundle: &Bundle,
    read: &mut HashMap<&'a str, Arc<Vocabulary>>,
    features: &'a [Feature],
) -> Result<Group, BundleError> {
    let columns: Vec<Column> = features
        .iter()
        .map(|feature| Column::load(bundle, read, feature))
        .collect::<Result<_, _>>()?;
    let mut width = 0;
    let slot = |column: &Column| {
        let offset = width;
        width += column.length;
        let Column { name, length, dtype, .. } = column;
        FeatureSlot { name: name.clone(), offset, length: *length, dtype: *dtype }
    };
    let slots = columns.iter().map(slot).collect();
    Ok(Group { columns, slots, width })
}
