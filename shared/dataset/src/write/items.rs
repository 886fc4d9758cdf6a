//! `items.parquet`.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, StringArray,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field};
use plugrank_contract::ItemId;

use super::{
    FeatureType, TableTarget, checks,
    parquet_file::{CHUNK_ROWS, ParquetFile},
};
use crate::{
    DatasetError, DatasetItem,
    names::{AVAILABLE, CATEGORIES, CREATED_AT, IMAGE, ITEM_COLUMNS, ITEM_ID, ITEMS, TEXT, TITLE},
};

/// Writes `items.parquet`.
pub struct ItemWriter {
    file: ParquetFile,
    features: Vec<(String, FeatureType)>,
    waiting: Vec<DatasetItem>,
}

impl ItemWriter {
    /// Starts the file in a folder, or as a stream. `features` are the further columns and what they hold, in
    /// this order.
    ///
    /// # Errors
    /// A feature takes a reserved or repeated name, or the file cannot be made.
    pub fn create(
        target: impl Into<TableTarget>,
        features: &[(&str, FeatureType)],
    ) -> Result<Self, DatasetError> {
        let target = target.into();
        checks::feature_columns(&target.path(ITEMS), features, &ITEM_COLUMNS)?;
        let entry = Field::new("item", DataType::Utf8, true);
        let mut fields = vec![
            Field::new(ITEM_ID, DataType::Utf8, false),
            Field::new(TITLE, DataType::Utf8, false),
            Field::new(TEXT, DataType::Utf8, false),
            Field::new(CATEGORIES, DataType::List(entry.into()), false),
            Field::new(IMAGE, DataType::Utf8, true),
            Field::new(CREATED_AT, DataType::Int64, true),
            Field::new(AVAILABLE, DataType::Boolean, false),
        ];
        let further = features.iter().map(|(name, of)| Field::new(*name, of.data_type(), true));
        fields.extend(further);
        let file = ParquetFile::create(target, ITEMS, fields)?;
        let features = features.iter().map(|(name, of)| ((*name).to_owned(), *of)).collect();
        Ok(Self { file, features, waiting: Vec::new() })
    }

    /// Appends an item. That ids differ is the caller's promise; a reader checks it.
    ///
    /// # Errors
    /// The id is empty or too long, a feature has no column that holds it, or the disk refuses.
    pub fn write(&mut self, row: DatasetItem) -> Result<(), DatasetError> {
        let number = self.file.rows() + self.waiting.len() as u64;
        let path = self.file.path();
        checks::id(path, ITEM_ID, number, row.item.item_id.as_str(), ItemId::MAX_BYTES)?;
        checks::known_features(path, number, &row.item.features, &self.features)?;
        self.waiting.push(row);
        if self.waiting.len() == CHUNK_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<u64, DatasetError> {
        self.flush()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<(), DatasetError> {
        let rows = std::mem::take(&mut self.waiting);
        let text = |value: fn(&DatasetItem) -> Option<&str>| -> ArrayRef {
            Arc::new(rows.iter().map(value).collect::<StringArray>())
        };
        let mut categories = ListBuilder::new(StringBuilder::new());
        for row in &rows {
            categories.append_value(row.item.categories.iter().map(Some));
        }
        let created = rows.iter().map(|row| row.item.created_at).collect::<Int64Array>();
        let available = rows.iter().map(|row| Some(row.item.available)).collect::<BooleanArray>();
        let mut columns = vec![
            text(|row| Some(row.item.item_id.as_str())),
            text(|row| Some(&row.item.title)),
            text(|row| Some(&row.item.text)),
            Arc::new(categories.finish()) as ArrayRef,
            text(|row| row.image.as_deref()),
            Arc::new(created),
            Arc::new(available),
        ];
        for (name, of) in &self.features {
            let values = rows.iter().map(|row| row.item.features.get(name));
            columns.push(of.column(values));
        }
        self.file.write(columns)
    }
}
