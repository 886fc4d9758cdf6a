//! `interactions.parquet`.

use arrow_schema::DataType;
use plugrank_contract::{FeatureValues, ItemId, UserId, feature::Number};
use serde::{Serialize, Serializer};

use super::{
    FeatureType, TableTarget, checks,
    columns::{optional, required},
    features::{FeatureColumns, FeatureRow},
    parquet_file::ParquetFile,
};
use crate::{
    DatasetError, DatasetRule, InteractionRow,
    names::{
        ACTION, INTERACTION_COLUMNS, INTERACTIONS, ITEM_ID, LABEL, POSITION, PROPENSITY,
        REQUEST_ID, SURFACE, TASK_PREFIX, TIMESTAMP, USER_ID, VALUE,
    },
    order::Order,
};

/// The columns that a log may have beside those of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InteractionColumns {
    /// Further tasks: the column `label_TASK` of each.
    pub tasks: Vec<String>,
    /// `surface` and `propensity`.
    pub shown: bool,
    /// Features of the request, and what they hold.
    pub features: Vec<(String, FeatureType)>,
}

impl InteractionColumns {
    /// Whether a feature may have this name: no column that means something else has it.
    #[must_use]
    pub fn is_feature_name(name: &str) -> bool {
        !INTERACTION_COLUMNS.contains(&name) && !name.starts_with(TASK_PREFIX)
    }
}

/// What the columns of [`InteractionColumns`] hold of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InteractionDetails {
    /// Labels of the further tasks, in their order; a missing one is not known.
    pub labels: Vec<Option<bool>>,
    /// Where in the shop it was shown.
    pub surface: Option<String>,
    /// Probability with which the item stood at its place.
    pub propensity: Option<f32>,
    /// Features of the request.
    pub features: FeatureValues,
}

/// Writes `interactions.parquet`.
pub struct InteractionWriter {
    file: ParquetFile,
    order: Order,
    /// The columns of further tasks, in their order.
    labels: Vec<String>,
    features: FeatureColumns,
}

/// A row by the names of its columns; a file without `surface` and `propensity` passes over them.
#[derive(Serialize)]
struct Columns<'a> {
    user_id: &'a str,
    item_id: &'a str,
    timestamp: i64,
    label: i8,
    request_id: Option<&'a str>,
    position: Option<u32>,
    action: Option<&'a str>,
    value: Option<f64>,
    surface: Option<&'a str>,
    propensity: Option<f32>,
    #[serde(flatten)]
    labels: TaskLabels<'a>,
    #[serde(flatten)]
    features: FeatureRow<'a>,
}

/// Labels of further tasks, as a map from column to label.
struct TaskLabels<'a> {
    columns: &'a [String],
    labels: &'a [Option<bool>],
}

impl Serialize for TaskLabels<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let labels = self.labels.iter().map(|label| label.map(i8::from));
        to.collect_map(self.columns.iter().zip(labels))
    }
}

impl InteractionWriter {
    /// Starts the file in a folder, or as a stream.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(target: impl Into<TableTarget>) -> Result<Self, DatasetError> {
        Self::with_columns(target, InteractionColumns::default())
    }

    /// Starts a file with further columns.
    ///
    /// # Errors
    /// A feature takes a reserved or repeated name, or the file cannot be made.
    pub fn with_columns(
        target: impl Into<TableTarget>,
        columns: InteractionColumns,
    ) -> Result<Self, DatasetError> {
        let target = target.into();
        let labels: Vec<String> =
            columns.tasks.iter().map(|task| format!("{TASK_PREFIX}{task}")).collect();
        let reserved: Vec<&str> =
            INTERACTION_COLUMNS.into_iter().chain(labels.iter().map(String::as_str)).collect();
        let features: Vec<(&str, FeatureType)> =
            columns.features.iter().map(|(name, holds)| (name.as_str(), *holds)).collect();
        let features = FeatureColumns::new(&target.path(INTERACTIONS), &features, &reserved)?;
        let mut fields = vec![
            required(USER_ID, DataType::Utf8),
            required(ITEM_ID, DataType::Utf8),
            required(TIMESTAMP, DataType::Int64),
            required(LABEL, DataType::Int8),
            optional(REQUEST_ID, DataType::Utf8),
            optional(POSITION, DataType::Int32),
            optional(ACTION, DataType::Utf8),
            optional(VALUE, DataType::Float64),
        ];
        fields.extend(labels.iter().map(|label| optional(label, DataType::Int8)));
        if columns.shown {
            fields.push(optional(SURFACE, DataType::Utf8));
            fields.push(optional(PROPENSITY, DataType::Float32));
        }
        fields.extend(features.fields());
        let file = ParquetFile::create(target, INTERACTIONS, fields)?;
        Ok(Self { file, order: Order::default(), labels, features })
    }

    /// Appends an impression.
    ///
    /// # Errors
    /// It comes before the last one, an id is empty or too long, the position does not fit an
    /// int32, or the disk refuses.
    pub fn write(&mut self, row: InteractionRow) -> Result<(), DatasetError> {
        self.write_detailed(row, InteractionDetails::default())
    }

    /// Appends an impression with what further columns hold of it.
    ///
    /// # Errors
    /// As [`Self::write`], and where a feature has no column that holds it.
    pub fn write_detailed(
        &mut self,
        row: InteractionRow,
        details: InteractionDetails,
    ) -> Result<(), DatasetError> {
        let (path, number) = (self.file.path(), self.file.rows());
        checks::id(path, USER_ID, number, row.user_id.as_str(), UserId::MAX_BYTES)?;
        checks::id(path, ITEM_ID, number, row.item_id.as_str(), ItemId::MAX_BYTES)?;
        self.features.check(path, number, &details.features)?;
        if row.position.is_some_and(|position| i32::try_from(position).is_err()) {
            let problem = format!("must be at most {}", i32::MAX);
            return Err(DatasetError::value(path, POSITION, number, DatasetRule::Range, problem));
        }
        self.order.check(row.timestamp, &row.user_id, &row.item_id).map_err(|problem| {
            DatasetError::value(path, TIMESTAMP, number, DatasetRule::Order, problem)
        })?;
        self.file.write(&Columns {
            user_id: row.user_id.as_str(),
            item_id: row.item_id.as_str(),
            timestamp: row.timestamp,
            label: i8::from(row.clicked),
            request_id: row.request_id.as_deref(),
            position: row.position,
            action: row.action.as_deref(),
            value: row.value.map(Number::as_f64),
            surface: details.surface.as_deref(),
            propensity: details.propensity,
            labels: TaskLabels { columns: &self.labels, labels: &details.labels },
            features: self.features.row(&details.features),
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
