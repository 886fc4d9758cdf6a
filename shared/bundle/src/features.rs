//! From columns to ids.

use std::{collections::HashMap, sync::Arc};

use plugrank_contract::{FeatureValue, Item, ItemId, User, UserId};

use crate::{Bundle, BundleError, manifest::Feature, vocabulary::Vocabulary};

/// Id of a value that is absent, and of padding.
pub const MISSING: i64 = 0;
/// Id of a value outside the vocabulary.
pub const UNKNOWN: i64 = 1;
/// Id of a vocabulary's first value.
const FIRST: i64 = 2;

/// Where a feature's ids are within a row of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSlot {
    /// Name of the feature.
    pub name: String,
    /// First id.
    pub offset: usize,
    /// Ids.
    pub length: usize,
}

/// All ids of one item: its features one after another.
pub type ItemFeatures = Box<[i64]>;

/// Turns items and users into ids.
#[derive(Debug)]
pub struct FeatureEncoder {
    item: Vec<Encoder>,
    user: Vec<Encoder>,
    item_slots: Vec<FeatureSlot>,
    user_slots: Vec<FeatureSlot>,
}

#[derive(Debug)]
struct Encoder {
    column: String,
    length: usize,
    vocabulary: Arc<Vocabulary>,
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
    fn load<'a>(bundle: &'a Bundle) -> Result<Self, BundleError> {
        let features = &bundle.manifest().features;
        // Features of one vocabulary share it.
        let mut read: HashMap<&str, Arc<Vocabulary>> = HashMap::new();
        let mut encoder = |feature| Encoder::load(bundle, &mut read, feature);
        let mut encoders = |features: &'a [Feature]| -> Result<Vec<Encoder>, BundleError> {
            features.iter().map(&mut encoder).collect()
        };
        Ok(Self {
            item: encoders(&features.item)?,
            user: encoders(&features.user)?,
            item_slots: slots(&features.item),
            user_slots: slots(&features.user),
        })
    }

    /// Where each item feature is in a row.
    #[must_use]
    pub fn item_slots(&self) -> &[FeatureSlot] {
        &self.item_slots
    }

    /// Where each user feature is in a row.
    #[must_use]
    pub fn user_slots(&self) -> &[FeatureSlot] {
        &self.user_slots
    }

    /// The largest id of each item feature, by name.
    pub fn largest_item_ids(&self) -> impl Iterator<Item = (&str, i64)> {
        largest(&self.item, &self.item_slots)
    }

    /// The largest id of each user feature, by name.
    pub fn largest_user_ids(&self) -> impl Iterator<Item = (&str, i64)> {
        largest(&self.user, &self.user_slots)
    }

    /// Ids of an item's features.
    #[must_use]
    pub fn item(&self, item: &Item) -> ItemFeatures {
        encode(&self.item, |column, push| match column {
            "item_id" => push(item.item_id.as_str()),
            "title" => push(&item.title),
            "text" => push(&item.text),
            "categories" => item.categories.iter().for_each(|category| push(category)),
            other => each_text(item.features.get(other), push),
        })
    }

    /// Ids of an item of which nothing but the id is known.
    #[must_use]
    pub fn missing_item(&self, id: &ItemId) -> ItemFeatures {
        encode(&self.item, |column, push| {
            if column == "item_id" {
                push(id.as_str());
            }
        })
    }

    /// Ids of a user's features; of a user without a profile only the id is known.
    #[must_use]
    pub fn user(&self, id: &UserId, profile: Option<&User>) -> Box<[i64]> {
        encode(&self.user, |column, push| match column {
            "user_id" => push(id.as_str()),
            other => each_text(profile.and_then(|user| user.features.get(other)), push),
        })
    }
}

impl Encoder {
    fn load<'a>(
        bundle: &Bundle,
        read: &mut HashMap<&'a str, Arc<Vocabulary>>,
        feature: &'a Feature,
    ) -> Result<Self, BundleError> {
        let file = feature.vocab.as_str();
        let vocabulary = match read.get(file) {
            Some(vocabulary) => Arc::clone(vocabulary),
            None => Arc::new(Vocabulary::load(&bundle.path(file), file)?),
        };
        read.insert(file, Arc::clone(&vocabulary));
        Ok(Self { column: feature.column.clone(), length: feature.length, vocabulary })
    }

    fn id(&self, value: &str) -> i64 {
        match self.vocabulary.place(value) {
            _ if value.is_empty() => MISSING,
            Some(place) => FIRST + i64::from(place),
            None => UNKNOWN,
        }
    }
}

/// The largest id of each feature: that of its vocabulary's last value.
fn largest<'a>(
    encoders: &'a [Encoder],
    slots: &'a [FeatureSlot],
) -> impl Iterator<Item = (&'a str, i64)> {
    let last = |encoder: &Encoder| UNKNOWN + i64::try_from(encoder.vocabulary.len()).unwrap_or(0);
    slots.iter().zip(encoders).map(move |(slot, encoder)| (slot.name.as_str(), last(encoder)))
}

/// Encodes one row: `values` hands every value of a column to its second argument.
fn encode(encoders: &[Encoder], values: impl Fn(&str, &mut dyn FnMut(&str))) -> Box<[i64]> {
    let mut row = Vec::with_capacity(encoders.iter().map(|encoder| encoder.length).sum());
    for encoder in encoders {
        let end = row.len() + encoder.length;
        values(&encoder.column, &mut |value| {
            if row.len() < end {
                row.push(encoder.id(value));
            }
        });
        row.resize(end, MISSING);
    }
    row.into_boxed_slice()
}

/// The texts of a value; numbers as decimal text.
fn each_text(value: Option<&FeatureValue>, push: &mut dyn FnMut(&str)) {
    let Some(value) = value else { return };
    value.texts().for_each(&mut *push);
    value.numbers().iter().for_each(|number| push(&number.to_string()));
}

fn slots(features: &[Feature]) -> Vec<FeatureSlot> {
    let mut offset = 0;
    let slot = |feature: &Feature| {
        let slot = FeatureSlot { name: feature.name.clone(), offset, length: feature.length };
        offset += feature.length;
        slot
    };
    features.iter().map(slot).collect()
}
