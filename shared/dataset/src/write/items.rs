//! `items.parquet`.

use arrow_schema::DataType;
use plugrank_contract::ItemId;
use serde::Serialize;

use super::{
    FeatureType, TableTarget, checks,
    columns::{list, optional, required},
    features::{FeatureColumns, FeatureRow},
    parquet_file::ParquetFile,
};
use crate::{
    DatasetError, DatasetItem,
    names::{AVAILABLE, CATEGORIES, CREATED_AT, IMAGE, ITEM_COLUMNS, ITEM_ID, ITEMS, TEXT, TITLE},
};

/// Writes `items.parquet`.
pub struct ItemWriter {
    file: ParquetFile,
    features: FeatureColumns,
}

/// A row by the names of its columns.
#[derive(Serialize)]
struct ItemColumns<'a> {
    item_id: &'a str,
    title: &'a str,
    text: &'a str,
    categories: &'a [String],
    image: Option<&'a str>,
    created_at: Option<i64>,
    available: bool,
    #[serde(flatten)]
    features: FeatureRow<'a>,
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
        let features = FeatureColumns::new(&target.path(ITEMS), features, &ITEM_COLUMNS)?;
        let mut fields = vec![
            required(ITEM_ID, DataType::Utf8),
            required(TITLE, DataType::Utf8),
            required(TEXT, DataType::Utf8),
            required(CATEGORIES, list(DataType::Utf8)),
            optional(IMAGE, DataType::Utf8),
            optional(CREATED_AT, DataType::Int64),
            required(AVAILABLE, DataType::Boolean),
        ];
        fields.extend(features.fields());
        Ok(Self { file: ParquetFile::create(target, ITEMS, fields)?, features })
    }

    /// Appends an item. The caller sees to it that ids differ; a reader checks it.
    ///
    /// # Errors
    /// The id is empty or too long, a feature has no column that holds it, or the disk refuses.
    pub fn write(&mut self, row: DatasetItem) -> Result<(), DatasetError> {
        let DatasetItem { item, image } = row;
        let (path, number) = (self.file.path(), self.file.rows());
        checks::id(path, ITEM_ID, number, item.item_id.as_str(), ItemId::MAX_BYTES)?;
        self.features.check(path, number, &item.features)?;
        self.file.write(&ItemColumns {
            item_id: item.item_id.as_str(),
            title: &item.title,
            text: &item.text,
            categories: &item.categories,
            image: image.as_deref(),
            created_at: item.created_at,
            available: item.available,
            features: self.features.row(&item.features),
        })
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(self) -> Result<u64, DatasetError> {
        self.file.finish()
    }
}
