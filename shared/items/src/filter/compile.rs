//! Makes tests of conditions: names become columns, values become numbers.

use plugrank_contract::{
    Condition, Filter, FilterProblem, FilterValue, TimestampMs,
    filter::{ConditionPlace, list_columns},
};

use super::{
    CompiledFilter,
    test::{Between, CodeSet, Test},
};
use crate::{
    View,
    columns::{Atom, CATEGORIES, Column, Holds},
};

/// The tests of a condition, one of which has to be passed.
pub(super) type Tests = Vec<Test>;

impl View<'_> {
    /// A filter against this table, to be asked of items of this view or a later one.
    ///
    /// # Errors
    /// When a condition has no column, or asks it for what it does not hold, or is malformed.
    pub fn compile(&self, filter: &Filter) -> Result<CompiledFilter, Vec<FilterProblem>> {
        let (compiled, problems) = self.compile_all(filter);
        if problems.is_empty() { Ok(compiled) } else { Err(problems) }
    }

    /// The same for a filter of the settings, which are read before there are items: a condition that
    /// the columns of now have no answer to is met by no item.
    #[must_use]
    pub fn compile_leniently(&self, filter: &Filter) -> CompiledFilter {
        let (mut compiled, _) = self.compile_all(filter);
        // One without an answer is left out above; all of `must` have to be met.
        compiled.must.resize_with(compiled.must.len().max(filter.must.len()), Vec::new);
        compiled
    }

    fn compile_all(&self, filter: &Filter) -> (CompiledFilter, Vec<FilterProblem>) {
        let mut problems = filter.problems();
        let mut compiled =
            CompiledFilter { one_of: !filter.should.is_empty(), ..CompiledFilter::default() };
        if !problems.is_empty() {
            return (compiled, problems);
        }
        for (place, condition) in filter.conditions() {
            match self.tests(place, condition) {
                Ok(tests) => match place.group {
                    "must" => compiled.must.push(tests),
                    "must_not" => compiled.must_not.extend(tests),
                    _ => compiled.should.extend(tests),
                },
                Err(problem) => problems.push(problem),
            }
        }
        (compiled, problems)
    }

    fn tests(&self, place: ConditionPlace, condition: &Condition) -> Result<Tests, FilterProblem> {
        match condition.field.as_str() {
            "item_id" => self.items_named(place, condition),
            "created_at" => created(place, condition),
            name => {
                let column = self.rows.columns.iter().position(|column| &*column.name == name);
                // Before the first item there is no column of any name.
                if column.is_none() && name == CATEGORIES {
                    return Ok(Vec::new());
                }
                let column = column.ok_or_else(|| self.no_column(place, name))?;
                of_column(place, condition, (column, &self.rows.columns[column]))
            }
        }
    }

    fn no_column(&self, place: ConditionPlace, name: &str) -> FilterProblem {
        let names = self.rows.columns.iter().map(|column| &*column.name);
        let detail = format!(
            "is {name:?}, which is no column of the items here; there are {} (the setting \
             items.columns says which are kept)",
            list_columns(names)
        );
        place.problem("field", detail)
    }

    fn items_named(
        &self,
        place: ConditionPlace,
        condition: &Condition,
    ) -> Result<Tests, FilterProblem> {
        let values = texts_alone(place, condition)?;
        let reader = self.table.ids.reader();
        let mut items: Vec<_> = values.iter().filter_map(|id| reader.get(id)).collect();
        items.sort_unstable();
        items.dedup();
        // An item has one id.
        if condition.all.is_some() && values.iter().any(|id| *id != values[0]) {
            items.clear();
        }
        Ok(vec![Test::Items(items.into())])
    }
}

/// The values of a condition on a column that has texts and nothing else.
fn texts_alone(place: ConditionPlace, condition: &Condition) -> Result<Vec<&str>, FilterProblem> {
    if condition.is_range() {
        let detail = format!("has bounds, and `{}` holds texts; use `any`", condition.field);
        return Err(place.problem("", detail));
    }
    let (member, values) = values(condition);
    let texts = values.iter().enumerate().map(|(at, value)| match value {
        FilterValue::Text(text) => Ok(text.as_str()),
        FilterValue::Number(number) => {
            let detail = format!("is the number {number}, and `{}` holds texts", condition.field);
            Err(place.problem(&format!("{member}/{at}"), detail))
        }
    });
    texts.collect()
}

fn values(condition: &Condition) -> (&'static str, &[FilterValue]) {
    match (&condition.any, &condition.all) {
        (Some(any), _) => ("any", any),
        (None, all) => ("all", all.as_deref().unwrap_or_default()),
    }
}

fn created(place: ConditionPlace, condition: &Condition) -> Result<Tests, FilterProblem> {
    if !condition.is_range() {
        let detail = "needs bounds, in milliseconds since 1970: `created_at` is a time";
        return Err(place.problem("", detail.to_owned()));
    }
    // Times are whole numbers, so that a bound that is left out is the next one.
    let low = match (condition.gt, condition.gte) {
        (Some(gt), _) => (gt.floor() as TimestampMs).saturating_add(1),
        (None, Some(gte)) => gte.ceil() as TimestampMs,
        (None, None) => TimestampMs::MIN,
    };
    let high = match (condition.lt, condition.lte) {
        (Some(lt), _) => (lt.ceil() as TimestampMs).saturating_sub(1),
        (None, Some(lte)) => lte.floor() as TimestampMs,
        (None, None) => TimestampMs::MAX,
    };
    Ok(vec![Test::Created(Between { low, high })])
}

fn of_column(
    place: ConditionPlace,
    condition: &Condition,
    (at, column): (usize, &Column),
) -> Result<Tests, FilterProblem> {
    let Holds { numbers, texts } = column.holds;
    if condition.is_range() {
        if texts && !numbers || &*column.name == CATEGORIES {
            let detail = format!("has bounds, and `{}` holds texts; use `any`", column.name);
            return Err(place.problem("", detail));
        }
        return Ok(in_range(condition, (at, column)));
    }
    if texts && !numbers || &*column.name == CATEGORIES {
        texts_alone(place, condition)?;
    }
    let (member, values) = values(condition);
    if numbers && !texts {
        let text = values.iter().position(|value| matches!(value, FilterValue::Text(_)));
        if let Some(text) = text {
            let detail = format!("is a text, and `{}` holds numbers", column.name);
            return Err(place.problem(&format!("{member}/{text}"), detail));
        }
    }
    Ok(match member {
        "any" => any_of(values, (at, column)),
        _ => all_of(values, (at, column)),
    })
}

/// Bounds as f32, which the values are: a bound is rounded as they were.
fn between(condition: &Condition) -> Between<f32> {
    let low = match (condition.gt, condition.gte) {
        (Some(gt), _) => (gt as f32).next_up(),
        (None, Some(gte)) => gte as f32,
        (None, None) => f32::NEG_INFINITY,
    };
    let high = match (condition.lt, condition.lte) {
        (Some(lt), _) => (lt as f32).next_down(),
        (None, Some(lte)) => lte as f32,
        (None, None) => f32::INFINITY,
    };
    Between { low, high }
}

fn in_range(condition: &Condition, (at, column): (usize, &Column)) -> Tests {
    let between = between(condition);
    let mut codes = CodeSet::default();
    for (number, atom) in column.dictionary.atoms() {
        if atom.as_number().is_some_and(|value| between.holds(value)) {
            column.dictionary.for_each_holder(number, |code| codes.insert(code));
        }
    }
    with_codes(vec![Test::Number { column: at, between }], codes, at)
}

fn with_codes(mut tests: Tests, codes: CodeSet, column: usize) -> Tests {
    if !codes.is_empty() {
        tests.push(Test::Codes { column, codes });
    }
    tests
}

fn any_of(values: &[FilterValue], (at, column): (usize, &Column)) -> Tests {
    let (mut numbers, mut codes) = (Vec::new(), CodeSet::default());
    for value in values {
        let Some(atom) = atom(value) else { continue };
        numbers.extend(atom.as_number());
        if let Some(number) = column.dictionary.find(&atom) {
            column.dictionary.for_each_holder(number, |code| codes.insert(code));
        }
    }
    with_codes(one_of(numbers, at), codes, at)
}

/// An item that has each of several values has a list of them.
fn all_of(values: &[FilterValue], (at, column): (usize, &Column)) -> Tests {
    let mut atoms: Vec<Atom> = Vec::with_capacity(values.len());
    for value in values {
        match atom(value) {
            Some(atom) if !atoms.contains(&atom) => atoms.push(atom),
            Some(_) => {}
            // Nothing equals what is no number of 32 bits.
            None => return Vec::new(),
        }
    }
    let mut codes: Option<CodeSet> = None;
    for atom in &atoms {
        let mut holding = CodeSet::default();
        if let Some(number) = column.dictionary.find(atom) {
            column.dictionary.for_each_holder(number, |code| holding.insert(code));
        }
        match &mut codes {
            None => codes = Some(holding),
            Some(codes) => codes.intersect(&holding),
        }
    }
    let single = match &atoms[..] {
        [one] => one.as_number().into_iter().collect(),
        _ => Vec::new(),
    };
    with_codes(one_of(single, at), codes.unwrap_or_default(), at)
}

fn one_of(mut numbers: Vec<f32>, column: usize) -> Tests {
    numbers.sort_unstable_by(f32::total_cmp);
    match numbers.is_empty() {
        true => Vec::new(),
        false => vec![Test::Numbers { column, numbers: numbers.into() }],
    }
}

fn atom(value: &FilterValue) -> Option<Atom> {
    match value {
        FilterValue::Text(text) => Some(Atom::Text(text.as_str().into())),
        FilterValue::Number(number) => Atom::number(*number as f32),
    }
}
