//! From a stream of rows to the moments of each arm.

use std::collections::HashMap;

use super::{
    Moments, ShownItems,
    quantities::{COVARIATE, COVERAGE, DEGRADED, ERRORS, EXPOSURES, LATE, TASKS, VALUE},
};

/// The arms and tasks of an experiment's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Arms; the control among them.
    pub arms: Vec<String>,
    /// Tasks, such as click and purchase.
    pub tasks: Vec<String>,
}

impl Schema {
    /// Number of quantities of a unit.
    #[must_use]
    pub fn size(&self) -> usize {
        TASKS + self.tasks.len()
    }
}

/// A part of what a unit did: one exposure, or the sums of many. Rows of a unit add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Exposures.
    pub exposures: f64,
    /// Outcomes by task, in the order of the schema.
    pub outcomes: Vec<f64>,
    /// Value, such as revenue.
    pub value: f64,
    /// What the unit did before the experiment, which no arm can have changed. It does not add up:
    /// the first row that has one tells. A unit without one did nothing: 0.
    pub covariate: Option<f64>,
    /// Exposures that came late.
    pub late: f64,
    /// Exposures that were degraded.
    pub degraded: f64,
    /// Exposures that failed.
    pub errors: f64,
    /// Sum over exposures of the share of candidates whose vectors were there.
    pub coverage: f64,
}

/// What one unit did so far.
#[derive(Clone, Debug)]
struct Unit {
    arm: usize,
    crossed: bool,
    covariate: Option<f64>,
    totals: Box<[f64]>,
}

/// Adds rows up by unit.
#[derive(Clone, Debug)]
pub struct Collector {
    schema: Schema,
    units: HashMap<String, Unit>,
}

/// The moments of each arm.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected {
    /// Arms and tasks.
    pub schema: Schema,
    /// Moments of the units of each arm.
    pub arms: Vec<Moments>,
    /// Units that were seen in more than one arm. They are in the moments of none.
    pub crossed: u64,
    /// What their lists have shown of the catalog, where that is watched.
    pub catalog: Option<CatalogShown>,
}

/// What the arms' lists have shown, and of how many items.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogShown {
    /// What they have shown.
    pub shown: ShownItems,
    /// Items in the catalog.
    pub items: u64,
}

impl Collector {
    /// Of no rows yet.
    #[must_use]
    pub fn new(schema: Schema) -> Self {
        Self { schema, units: HashMap::new() }
    }

    /// Adds a row of `unit` in the arm of this place in the schema.
    ///
    /// # Panics
    /// If the row has another number of tasks, or there is no such arm.
    pub fn add(&mut self, arm: usize, unit: &str, row: &Row) {
        assert!(arm < self.schema.arms.len(), "the arm is one of the schema");
        assert_eq!(row.outcomes.len(), self.schema.tasks.len(), "a row has an outcome per task");
        let mut totals = vec![0.0; self.schema.size()];
        totals[EXPOSURES] = row.exposures;
        totals[VALUE] = row.value;
        totals[LATE] = row.late;
        totals[DEGRADED] = row.degraded;
        totals[ERRORS] = row.errors;
        totals[COVERAGE] = row.coverage;
        totals[TASKS..].copy_from_slice(&row.outcomes);
        let covariate = row.covariate;
        let part = Unit { arm, crossed: false, covariate, totals: totals.into_boxed_slice() };
        self.join(unit, part);
    }

    /// Adds the rows of another collector, of the same units or of others.
    ///
    /// # Panics
    /// If its schema is another.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.schema, other.schema, "collectors that merge have one schema");
        for (name, unit) in other.units {
            self.join(&name, unit);
        }
    }

    fn join(&mut self, name: &str, part: Unit) {
        let Some(unit) = self.units.get_mut(name) else {
            self.units.insert(name.to_owned(), part);
            return;
        };
        unit.crossed |= part.crossed || unit.arm != part.arm;
        unit.covariate = unit.covariate.or(part.covariate);
        for (total, add) in unit.totals.iter_mut().zip(&part.totals) {
            *total += add;
        }
    }

    /// The arm that a unit was first seen in, if it was.
    #[must_use]
    pub fn arm_of(&self, unit: &str) -> Option<usize> {
        self.units.get(unit).map(|unit| unit.arm)
    }

    /// Number of units.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// The moments of the arms with the rows of another collector added, which stays apart.
    ///
    /// # Panics
    /// If its schema is another.
    #[must_use]
    pub fn collected_with(&self, other: &Self) -> Collected {
        assert_eq!(self.schema, other.schema, "collectors that merge have one schema");
        let mut joint = Self::new(self.schema.clone());
        for (name, unit) in &other.units {
            if let Some(own) = self.units.get(name) {
                joint.units.insert(name.clone(), own.clone());
            }
            joint.join(name, unit.clone());
        }
        let mut collected = joint.collected();
        let rest = self.units.iter().filter(|(name, _)| !other.units.contains_key(*name));
        collected.merge(&self.moments_of(rest.map(|(_, unit)| unit)));
        collected
    }

    /// The moments of the arms as they are now.
    #[must_use]
    pub fn collected(&self) -> Collected {
        self.moments_of(self.units.values())
    }

    fn moments_of<'a>(&self, units: impl Iterator<Item = &'a Unit>) -> Collected {
        let schema = self.schema.clone();
        let mut arms = vec![Moments::new(schema.size()); schema.arms.len()];
        let mut crossed = 0;
        let mut quantities = Vec::new();
        for unit in units {
            if unit.crossed {
                crossed += 1;
                continue;
            }
            quantities.clear();
            quantities.extend_from_slice(&unit.totals);
            quantities[COVARIATE] = unit.covariate.unwrap_or(0.0);
            arms[unit.arm].add(&quantities);
        }
        Collected { schema, arms, crossed, catalog: None }
    }
}

impl Collected {
    /// Adds units that are none of these.
    ///
    /// # Panics
    /// If the other's schema is another.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.schema, other.schema, "what merges has one schema");
        self.crossed += other.crossed;
        for (mine, theirs) in self.arms.iter_mut().zip(&other.arms) {
            mine.merge(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector() -> Collector {
        let (arms, tasks) = (vec!["c".to_owned(), "t".to_owned()], vec!["click".to_owned()]);
        Collector::new(Schema { arms, tasks })
    }

    fn row(exposures: f64, clicks: f64, covariate: Option<f64>) -> Row {
        Row { exposures, outcomes: vec![clicks], value: clicks, covariate, ..Row::default() }
    }

    #[test]
    fn rows_of_a_unit_add_up_over_collectors() {
        let (mut whole, mut one, mut two) = (collector(), collector(), collector());
        let rows = [
            (0, "u1", row(1.0, 1.0, Some(5.0))),
            (1, "u2", row(2.0, 0.0, None)),
            (0, "u1", row(3.0, 1.0, Some(5.0))),
            (0, "u3", row(1.0, 0.0, None)),
        ];
        for (index, (arm, unit, row)) in rows.iter().enumerate() {
            whole.add(*arm, unit, row);
            let part = if index < 2 { &mut one } else { &mut two };
            part.add(*arm, unit, row);
        }
        one.merge(two);
        let (whole, merged) = (whole.collected(), one.collected());
        assert_eq!(whole.arms[0].units(), 2);
        assert_eq!((whole.arms[0].sum(EXPOSURES), whole.arms[0].sum(TASKS)), (5.0, 2.0));
        assert_eq!(whole.arms[0].sum(COVARIATE), 5.0, "a covariate does not add up");
        assert_eq!(merged.arms[0].sum(EXPOSURES), 5.0);
        assert_eq!(merged.arms[1], whole.arms[1]);
        let (mut closed, mut open) = (collector(), collector());
        for (index, (arm, unit, row)) in rows.iter().enumerate() {
            if index < 2 { &mut closed } else { &mut open }.add(*arm, unit, row);
        }
        let both = closed.collected_with(&open);
        for arm in 0..2 {
            assert_eq!(both.arms[arm].units(), whole.arms[arm].units());
            assert_eq!(both.arms[arm].sum(EXPOSURES), whole.arms[arm].sum(EXPOSURES));
            assert_eq!(both.arms[arm].sum(COVARIATE), whole.arms[arm].sum(COVARIATE));
        }
        assert_eq!((closed.arm_of("u2"), closed.arm_of("u3"), closed.units()), (Some(1), None, 2));
    }

    #[test]
    fn a_unit_of_two_arms_is_counted_and_excluded() {
        let mut both = collector();
        both.add(0, "u1", &row(1.0, 0.0, None));
        both.add(1, "u1", &row(1.0, 0.0, None));
        both.add(1, "u2", &row(1.0, 0.0, None));
        let collected = both.collected();
        assert_eq!(collected.crossed, 1);
        assert_eq!((collected.arms[0].units(), collected.arms[1].units()), (0, 1));
    }
}
