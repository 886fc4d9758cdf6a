//! Encodes items together, and each of them alone where that fails.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::Arc,
};

use plugrank_contract::panic_text;
use plugrank_store::StoredItem;

use crate::{
    item_models::{Content, EncoderRow, ItemModels, ItemSchema},
    modal::ModalVector,
    modal_key::modal_key,
    record_set::Record,
    write_back::Vectors,
};

/// An item to encode, and what is known of it.
pub(crate) struct ItemToRun {
    pub(crate) item: Arc<StoredItem>,
    pub(crate) modal: ModalSource,
}

/// Where an item's modal vector comes from.
pub(crate) enum ModalSource {
    /// The store has it.
    Known(ModalVector),
    /// The encoders make it of this.
    Made(Content),
    /// Nowhere: the item was written while it was read, so that it gets no record.
    Changed,
}

/// What an encoding of several items gave.
#[derive(Debug, Default)]
pub(crate) struct EncodedItems {
    /// Same order; `None` for an item that failed, or whose content changed meanwhile.
    pub(crate) records: Vec<Option<Record>>,
    /// Modal vectors that were made and not read, ready to be stored.
    pub(crate) modal: Vectors,
    /// How many items failed.
    pub(crate) failed: usize,
    /// How many images could not be used.
    pub(crate) bad_images: usize,
}

/// Encodes items together. Where that fails or panics each is encoded alone, so that one bad item takes no other's
/// record.
///
/// # Errors
/// When none of them can be encoded.
pub(crate) fn encode(
    models: &mut ItemModels,
    schema: &ItemSchema,
    items: &[ItemToRun],
) -> Result<EncodedItems, String> {
    if items.len() < 2 {
        return attempt(models, schema, items);
    }
    let mut caught = |items: &[ItemToRun]| {
        let run = AssertUnwindSafe(|| attempt(models, schema, items));
        catch_unwind(run)
            .unwrap_or_else(|panic| Err(format!("it panicked: {}", panic_text(&*panic))))
    };
    let together = match caught(items) {
        Ok(encoded) => return Ok(encoded),
        Err(error) => error,
    };
    let mut all = EncodedItems::default();
    for item in items {
        match caught(slice::from_ref(item)) {
            Ok(alone) => all.add(alone),
            Err(error) => {
                tracing::warn!(item_id = %item.item.item.item_id, %error, "an item was not encoded");
                all.add(EncodedItems { records: vec![None], failed: 1, ..EncodedItems::default() });
            }
        }
    }
    if all.failed == items.len() { Err(together) } else { Ok(all) }
}

impl EncodedItems {
    fn add(&mut self, other: Self) {
        self.records.extend(other.records);
        self.modal.extend(other.modal);
        self.failed += other.failed;
        self.bad_images += other.bad_images;
    }
}

fn attempt(
    models: &mut ItemModels,
    schema: &ItemSchema,
    items: &[ItemToRun],
) -> Result<EncodedItems, String> {
    let contents = items.iter().filter_map(|one| match &one.modal {
        ModalSource::Made(content) => Some(content),
        _ => None,
    });
    let (made, bad_images) = models.modal(&contents.collect::<Vec<_>>())?;
    let absent = ModalVector::absent(&schema.modal);
    let (mut modal, mut made) = (Vectors::new(), made.iter());
    let vectors: Vec<&ModalVector> = items
        .iter()
        .map(|one| match &one.modal {
            ModalSource::Known(vector) => vector,
            ModalSource::Made(_) => {
                let vector = made.next().unwrap_or(&absent);
                modal.push((modal_key(&one.item.item), vector.to_bytes()));
                vector
            }
            ModalSource::Changed => &absent,
        })
        .collect();
    let features: Vec<_> = items.iter().map(|one| schema.features.item(&one.item.item)).collect();
    let rows: Vec<EncoderRow<'_>> = vectors
        .into_iter()
        .zip(&features)
        .map(|(modal, features)| EncoderRow { modal, features })
        .collect();
    let records = models.records(&rows)?.into_iter().zip(items);
    let records = records
        .map(|(record, one)| (!matches!(one.modal, ModalSource::Changed)).then_some(record))
        .collect();
    Ok(EncodedItems { records, modal, failed: 0, bad_images })
}
