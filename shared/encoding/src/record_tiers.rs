//! Item records through the tiers: in-process, store, encode, missing.

use std::{collections::HashMap, sync::Arc};

use plugrank_contract::{
    Deadline, HistoryEntry, ItemId, ItemIndex, ItemList,
    context::TRACE_TARGET,
    embedding::{RecordOrigin, Tiers},
};
use plugrank_items::{FeatureColumn, View};
use plugrank_store::{Store, VectorSpace};
use tracing::{Instrument, field::Empty};

use crate::{
    encode_queue::EncodeQueue,
    error::EncodingError,
    metrics::EncodingMetrics,
    missing_records::{Hasher, MissingRecordKey, MissingRecords},
    record_key::record_key,
    record_set::{OtherRecord, Record, RecordSet},
    single_flight::ItemToEncode,
    table_writer::{MadeRecord, TableWriter},
};

/// Where the ids of the items asked for are read, of which only those the table does not have are
/// needed.
#[derive(Clone, Copy)]
pub(crate) enum Names<'a> {
    List(&'a ItemList),
    History(&'a [HistoryEntry]),
}

impl<'a> Names<'a> {
    fn ids(self) -> Box<dyn Iterator<Item = &'a ItemId> + Send + 'a> {
        match self {
            Self::List(list) => Box::new(list.ids()),
            Self::History(entries) => Box::new(entries.iter().map(|entry| &entry.item_id)),
        }
    }
}

/// An item of the table whose row is not of its content, and the places that ask for it.
struct Miss {
    item: ItemToEncode,
    places: Vec<usize>,
}

/// What is found of records that the table does not have, by place.
type Found = Vec<Option<(Record, RecordOrigin)>>;

/// The tiers.
pub(crate) struct RecordTiers {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) table: Arc<TableWriter>,
    pub(crate) features: Arc<FeatureColumn>,
    pub(crate) queue: EncodeQueue,
    pub(crate) missing: Arc<MissingRecords>,
    pub(crate) metrics: Arc<EncodingMetrics>,
    pub(crate) space: VectorSpace,
    pub(crate) encode_on_miss: bool,
    pub(crate) max_encoded: usize,
}

impl RecordTiers {
    /// Finds, makes or replaces every record, for the contents that `view` has of the items. It
    /// always answers: what is not there by `deadline` is a missing record, and goes on being encoded
    /// behind the call.
    ///
    /// # Errors
    /// Only when not even a missing record can be made.
    pub(crate) async fn resolve(
        &self,
        items: Arc<[ItemIndex]>,
        names: Names<'_>,
        view: &View<'_>,
        deadline: Deadline,
        tiers: Tiers,
    ) -> Result<RecordSet, EncodingError> {
        let span = tracing::info_span!(
            target: TRACE_TARGET,
            "records",
            plugrank.embedding.records = items.len() as i64,
            plugrank.embedding.missing = Empty,
        );
        let (set, rest) = self.in_table(items, view, tiers);
        EncodingMetrics::add(&self.metrics.memory, set.len() - rest.len());
        if rest.is_empty() {
            span.record("plugrank.embedding.missing", 0_i64);
            return Ok(set);
        }
        let others = self.others(set, &rest, names, view, deadline, tiers);
        let set = others.instrument(span.clone()).await?;
        span.record("plugrank.embedding.missing", i64::from(set.origins.missing));
        Ok(set)
    }

    /// One pass over the items: the rows the table has, and the positions of the others.
    fn in_table(
        &self,
        items: Arc<[ItemIndex]>,
        view: &View<'_>,
        tiers: Tiers,
    ) -> (RecordSet, Vec<u32>) {
        let records = self.table.records.view();
        let mut rest = Vec::new();
        let mut stale = false;
        for (position, item) in items.iter().enumerate() {
            let content = view.content(*item);
            let row = records.get(*item).filter(|_| content.is_some());
            let fits = match tiers {
                Tiers::All => row.is_some_and(|row| row.content() == content),
                Tiers::Cached => {
                    stale |= row.is_some_and(|row| row.content() != content);
                    row.is_some()
                }
            };
            if !fits {
                rest.push(position as u32);
            }
        }
        let mut set = RecordSet::of_table(items, records);
        set.provisional = stale;
        (set, rest)
    }

    /// Adds the records at the positions `rest`, which the table does not have.
    async fn others(
        &self,
        mut set: RecordSet,
        rest: &[u32],
        names: Names<'_>,
        view: &View<'_>,
        deadline: Deadline,
        tiers: Tiers,
    ) -> Result<RecordSet, EncodingError> {
        let mut found: Found = vec![None; rest.len()];
        if tiers == Tiers::All {
            let mut misses = misses(&set, rest, view);
            if !misses.is_empty() {
                let late;
                (misses, late) = self.in_store(misses, deadline, &mut found).await;
                if late {
                    set.late = Some("the store did not give its records in time".to_owned());
                }
            }
            if !misses.is_empty() {
                self.encoded(misses, deadline, &mut found).await;
            }
        }
        let wait = tiers == Tiers::All;
        set.provisional |=
            self.missing(&set, rest, names, view, deadline, wait, &mut found).await?;
        let mut others = Vec::with_capacity(rest.len());
        for (position, found) in rest.iter().zip(found) {
            let (record, origin) =
                found.ok_or_else(|| EncodingError::Encode("a record is lacking".to_owned()))?;
            let in_catalog = view.content(set.items()[*position as usize]).is_some();
            set.provisional |= in_catalog && origin == RecordOrigin::Missing;
            self.metrics.origin(origin, in_catalog);
            others.push(OtherRecord { position: *position, origin, record });
        }
        Ok(set.with_others(others))
    }

    async fn in_store(
        &self,
        misses: Vec<Miss>,
        deadline: Deadline,
        found: &mut Found,
    ) -> (Vec<Miss>, bool) {
        let keys: Vec<Vec<u8>> =
            misses.iter().map(|miss| record_key(&miss.item.id, miss.item.asked)).collect();
        let read = deadline.limit(self.store.vectors(&self.space, &keys)).await;
        let read = match read {
            Some(Ok(read)) => read,
            Some(Err(error)) => {
                EncodingMetrics::add(&self.metrics.store_read_failures, 1);
                tracing::warn!(%error, "cached records were not read");
                return (misses, true);
            }
            None => {
                EncodingMetrics::add(&self.metrics.store_read_failures, 1);
                return (misses, true);
            }
        };
        let mut read = read.into_iter();
        let (mut rest, mut made) = (Vec::new(), Vec::new());
        for miss in misses {
            match read.next().flatten() {
                Some(bytes) if bytes.len() == self.table.records.layout().bytes() => {
                    let record = Record::from(bytes);
                    take(found, &miss.places, &record, RecordOrigin::Store);
                    let (item, content) = (miss.item.item, miss.item.asked);
                    made.push(MadeRecord { item, asked: content, content, record });
                }
                other => {
                    let corrupt = usize::from(other.is_some());
                    EncodingMetrics::add(&self.metrics.corrupt_vectors, corrupt);
                    rest.push(miss);
                }
            }
        }
        self.table.put(&made);
        (rest, false)
    }

    async fn encoded(&self, misses: Vec<Miss>, deadline: Deadline, found: &mut Found) {
        let fit = match deadline.remaining() {
            _ if !self.encode_on_miss => 0,
            None => misses.len(),
            Some(left) => self.queue.fit(left).min(self.max_encoded),
        };
        let mut waiting = Vec::new();
        for (number, miss) in misses.iter().enumerate() {
            if number >= fit {
                self.queue.later(&miss.item);
                continue;
            }
            let pending = self.queue.for_call(&miss.item, deadline.remaining().is_none()).await;
            waiting.extend(pending.map(|pending| (miss, pending)));
        }
        for (miss, pending) in waiting {
            // A deadline that has passed still takes what is ready by then.
            if let Some(Ok(Some(record))) = deadline.limit(pending).await {
                take(found, &miss.places, &record, RecordOrigin::Encoded);
            }
        }
    }

    /// Missing records in the place of what was not found. Whether some of them are stand-ins for
    /// others.
    #[expect(clippy::too_many_arguments, reason = "all of one call; called once")]
    async fn missing(
        &self,
        set: &RecordSet,
        rest: &[u32],
        names: Names<'_>,
        view: &View<'_>,
        deadline: Deadline,
        wait: bool,
        found: &mut Found,
    ) -> Result<bool, EncodingError> {
        let unfound: Vec<usize> = (0..rest.len()).filter(|place| found[*place].is_none()).collect();
        if unfound.is_empty() {
            return Ok(false);
        }
        let wanted: Vec<MissingRecordKey> = if self.missing.reads_ids() {
            self.nameless(set, unfound.iter().map(|place| rest[*place] as usize), names, view)
        } else {
            vec![MissingRecords::any_item()]
        };
        let made = self.missing.records(&wanted, deadline, wait).await?;
        for (number, place) in unfound.into_iter().enumerate() {
            // One for all where ids are not read.
            let record = made.records.get(number).or(made.records.first());
            found[place] = record.map(|record| (Arc::clone(record), RecordOrigin::Missing));
        }
        Ok(made.stand_in)
    }

    /// What the items at these positions, which ascend, need of missing records.
    fn nameless(
        &self,
        set: &RecordSet,
        positions: impl Iterator<Item = usize>,
        names: Names<'_>,
        view: &View<'_>,
    ) -> Vec<MissingRecordKey> {
        let features = self.features.view();
        let mut wanted = Vec::new();
        for (position, listed) in at_positions(names.ids(), positions) {
            let index = set.items()[position];
            wanted.push(match view.id(index).or(listed) {
                Some(id) => self.missing.wanted(&features, index, id),
                None => MissingRecords::any_item(),
            });
        }
        wanted
    }
}

/// The values at these positions, which ascend, each with its position.
fn at_positions<T>(
    mut values: impl Iterator<Item = T>,
    positions: impl Iterator<Item = usize>,
) -> impl Iterator<Item = (usize, Option<T>)> {
    let mut passed = 0;
    positions.map(move |position| {
        let value = values.nth(position - passed);
        passed = position + 1;
        (position, value)
    })
}

/// The items of the catalog among those at the positions `rest`, each once.
fn misses(set: &RecordSet, rest: &[u32], view: &View<'_>) -> Vec<Miss> {
    let mut misses: Vec<Miss> = Vec::new();
    let mut by_item = HashMap::with_hasher(Hasher::default());
    for (place, position) in rest.iter().enumerate() {
        let item = set.items()[*position as usize];
        let asked = view.content(item);
        let Some(id) = view.id(item).filter(|_| asked.is_some()) else { continue };
        let miss = *by_item.entry(item).or_insert_with(|| {
            let item = ItemToEncode { item, id: id.clone(), asked };
            misses.push(Miss { item, places: Vec::new() });
            misses.len() - 1
        });
        misses[miss].places.push(place);
    }
    misses
}

fn take(found: &mut Found, places: &[usize], record: &Record, origin: RecordOrigin) {
    for place in places {
        found[*place] = Some((Arc::clone(record), origin));
    }
}

#[cfg(test)]
mod tests {
    use super::at_positions;

    #[test]
    fn cached_values_are_returned_at_their_positions() {
        let found = at_positions("abcdef".chars(), [0, 1, 4, 7].into_iter());
        let expected = [(0, Some('a')), (1, Some('b')), (4, Some('e')), (7, None)];
        assert!(found.eq(expected));
    }
}
