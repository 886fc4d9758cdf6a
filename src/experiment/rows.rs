//! The rows of an exposure file that belong to the experiment.

use anyhow::{Context, Result, bail};
use arrow_array::{Array, RecordBatch, cast::AsArray};
use plugrank_experiments::statistics::Row;

use super::{
    args::AnalyseArgs,
    exposures::{Exposures, flags, moments, numbers, texts},
};

/// A row that counts.
pub(super) struct Counted<'a> {
    pub(super) arm: &'a str,
    pub(super) unit: &'a str,
    pub(super) timestamp: Option<i64>,
    pub(super) counts: Row,
}

/// A file whose columns were looked at.
pub(super) struct Rows<'a> {
    args: &'a AnalyseArgs,
    columns: Columns,
}

/// Which of the columns that may be there are.
struct Columns {
    exposures: bool,
    value: bool,
    covariate: bool,
    late: bool,
    degraded: bool,
    errors: bool,
    coverage: bool,
    timestamp: bool,
    forced: bool,
    experiment: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(args: &'a AnalyseArgs) -> Result<Self> {
        let file = Exposures::open(&args.file)?;
        let needed = [&args.arm, &args.unit].into_iter().chain(&args.tasks);
        let missing: Vec<&str> =
            needed.filter(|column| !file.has(column)).map(String::as_str).collect();
        if !missing.is_empty() {
            let fields = file.schema.fields().iter();
            let there: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
            bail!(
                "{} has no column {}; it has {}. --arm, --unit and --tasks name others",
                args.file.display(),
                missing.join(", "),
                there.join(", ")
            );
        }
        if !file.has("timestamp") && (args.from.is_some() || args.until.is_some()) {
            bail!("--from and --until need a column timestamp");
        }
        let columns = Columns {
            exposures: file.has("exposures"),
            value: file.has("value"),
            covariate: file.has(&args.covariate),
            late: file.has("late"),
            degraded: file.has("degraded"),
            errors: file.has("errors"),
            coverage: file.has("coverage"),
            timestamp: file.has("timestamp"),
            forced: file.has("forced"),
            experiment: args.experiment.is_some() && file.has("experiment"),
        };
        Ok(Self { args, columns })
    }

    /// Reads the file and calls `count` for each row that belongs to the experiment. Answers how
    /// many did, and how many did not.
    pub(super) fn each(
        &self,
        mut count: impl FnMut(&Counted<'_>) -> Result<()>,
    ) -> Result<(u64, u64)> {
        let refused = || format!("{} is refused", self.args.file.display());
        let (mut counted, mut left_out) = (0, 0);
        for batch in Exposures::open(&self.args.file)? {
            let batch = batch.with_context(refused)?;
            let kept = self.batch(&batch, &mut count).with_context(refused)?;
            counted += kept;
            left_out += batch.num_rows() as u64 - kept;
        }
        Ok((counted, left_out))
    }

    fn batch(
        &self,
        batch: &RecordBatch,
        count: &mut impl FnMut(&Counted<'_>) -> Result<()>,
    ) -> Result<u64> {
        let Self { args, columns } = self;
        let (arms, units) = (texts(batch, &args.arm)?, texts(batch, &args.unit)?);
        let (arms, units) = (arms.as_string::<i32>(), units.as_string::<i32>());
        let numbers = |there: bool, column: &str| {
            if there { numbers(batch, column) } else { Ok(vec![None; batch.num_rows()]) }
        };
        let exposures = numbers(columns.exposures, "exposures")?;
        let value = numbers(columns.value, "value")?;
        let covariate = numbers(columns.covariate, &args.covariate)?;
        let late = numbers(columns.late, "late")?;
        let degraded = numbers(columns.degraded, "degraded")?;
        let errors = numbers(columns.errors, "errors")?;
        let coverage = numbers(columns.coverage, "coverage")?;
        let of_task = |task: &String| numbers(true, task);
        let tasks: Vec<_> = args.tasks.iter().map(of_task).collect::<Result<_>>()?;
        let times = if columns.timestamp {
            moments(batch, "timestamp")?
        } else {
            vec![None; batch.num_rows()]
        };
        let kept = self.kept(batch, &times)?;
        let mut counted = 0;
        for row in (0..batch.num_rows()).filter(|row| kept[*row]) {
            if arms.is_null(row) || units.is_null(row) {
                bail!("a row has no {} or no {}", args.arm, args.unit);
            }
            let at = |column: &[Option<f64>]| column[row].unwrap_or(0.0);
            count(&Counted {
                arm: arms.value(row),
                unit: units.value(row),
                timestamp: times[row],
                counts: Row {
                    exposures: exposures[row].unwrap_or(1.0),
                    outcomes: tasks.iter().map(|task| at(task)).collect(),
                    value: at(&value),
                    covariate: covariate[row],
                    late: at(&late),
                    degraded: at(&degraded),
                    errors: at(&errors),
                    coverage: at(&coverage),
                },
            })?;
            counted += 1;
        }
        Ok(counted)
    }

    /// Which rows belong to the experiment and the time that was asked for.
    fn kept(&self, batch: &RecordBatch, times: &[Option<i64>]) -> Result<Vec<bool>> {
        let Self { args, columns } = self;
        let mut kept = vec![true; batch.num_rows()];
        if columns.forced {
            for (kept, forced) in kept.iter_mut().zip(flags(batch, "forced")?) {
                *kept &= !forced;
            }
        }
        if columns.experiment {
            let experiments = texts(batch, "experiment")?;
            for (kept, experiment) in kept.iter_mut().zip(experiments.as_string::<i32>()) {
                *kept &= experiment == args.experiment.as_deref();
            }
        }
        for (kept, time) in kept.iter_mut().zip(times) {
            let after = args.from.is_none_or(|from| time.is_some_and(|time| time >= from));
            let before = args.until.is_none_or(|until| time.is_some_and(|time| time < until));
            *kept &= after && before;
        }
        Ok(kept)
    }
}
