//! Reading a file of exposures, parquet or CSV, a batch at a time.

use std::{fs::File, io::Seek, path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow, bail};
use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchReader,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use arrow_cast::{cast, display::array_value_to_string};
use arrow_csv::{ReaderBuilder, reader::Format};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Rows read at a time.
const ROWS: usize = 8_192;

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

/// A file of exposures that is being read.
pub(super) struct Exposures {
    pub(super) schema: SchemaRef,
    batches: Batches,
}

impl Exposures {
    /// Opens a file, by its extension.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("parquet") => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(file)?
                    .with_batch_size(ROWS)
                    .build()?;
                Ok(Self { schema: RecordBatchReader::schema(&reader), batches: Box::new(reader) })
            }
            Some("csv") => Self::csv(file),
            _ => bail!("{} is neither .parquet nor .csv", path.display()),
        }
    }

    /// Every column is read as text, so that an id such as 007 stays what it is.
    fn csv(mut file: File) -> Result<Self> {
        let format = Format::default().with_header(true);
        let (header, _) = format.infer_schema(&mut file, Some(0))?;
        file.rewind()?;
        let text = |field: &Arc<Field>| Field::new(field.name(), DataType::Utf8, true);
        let schema = Arc::new(Schema::new(header.fields().iter().map(text).collect::<Vec<_>>()));
        let reader = ReaderBuilder::new(Arc::clone(&schema))
            .with_header(true)
            .with_batch_size(ROWS)
            .build(file)?;
        Ok(Self { schema, batches: Box::new(reader) })
    }

    /// Whether there is a column of this name.
    pub(super) fn has(&self, column: &str) -> bool {
        self.schema.column_with_name(column).is_some()
    }
}

impl Iterator for Exposures {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next().map(|batch| batch.map_err(anyhow::Error::from))
    }
}

/// A column as text.
pub(super) fn texts(batch: &RecordBatch, column: &str) -> Result<ArrayRef> {
    Ok(cast(found(batch, column)?, &DataType::Utf8)?)
}

/// A column as numbers; empty cells are none.
pub(super) fn numbers(batch: &RecordBatch, column: &str) -> Result<Vec<Option<f64>>> {
    let array = found(batch, column)?;
    let cast = cast(array, &DataType::Float64)?;
    complete(array, &cast, column, "a number")?;
    let numbers: Vec<_> = cast.as_primitive::<Float64Type>().iter().collect();
    match numbers.iter().flatten().find(|number| !number.is_finite()) {
        Some(number) => bail!("the column {column} has {number}, which is not a number to count"),
        None => Ok(numbers),
    }
}

/// A column as truth values: true, false, 1, 0.
pub(super) fn flags(batch: &RecordBatch, column: &str) -> Result<Vec<bool>> {
    let array = found(batch, column)?;
    let cast = cast(array, &DataType::Boolean)?;
    complete(array, &cast, column, "true or false")?;
    Ok(cast.as_boolean().iter().map(|flag| flag.unwrap_or(false)).collect())
}

/// A column as milliseconds since the Unix epoch: whole numbers, or times of any unit.
pub(super) fn moments(batch: &RecordBatch, column: &str) -> Result<Vec<Option<i64>>> {
    let array = found(batch, column)?;
    let whole = match array.data_type() {
        DataType::Timestamp(_, zone) => {
            let milliseconds = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
            cast(&cast(array, &milliseconds)?, &DataType::Int64)?
        }
        _ => cast(array, &DataType::Int64)?,
    };
    complete(array, &whole, column, "a moment in milliseconds")?;
    Ok(whole.as_primitive::<Int64Type>().iter().collect())
}

fn found<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(column).ok_or_else(|| anyhow!("there is no column {column}"))
}

/// Refuses a column of which some cell became nothing.
fn complete(array: &ArrayRef, cast: &ArrayRef, column: &str, kind: &str) -> Result<()> {
    let lost = (0..array.len()).find(|row| array.is_valid(*row) && cast.is_null(*row));
    let Some(row) = lost else { return Ok(()) };
    let text = array_value_to_string(array, row)?;
    if text.is_empty() {
        return Ok(());
    }
    bail!("the column {column} has `{text}`, which is not {kind}")
}
