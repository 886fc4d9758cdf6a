//! What candidates are worth: a formula, its names bound to the model's tasks, the items' columns, and what
//! requests give.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use plugrank_bundle::{
    Bundle, FeatureEncoder,
    features::{FeatureKind, WrongValue},
};
use plugrank_contract::{
    FeatureValue, FeatureValues, ItemIndex, TimestampMs,
    scoring::{GivenFeatures, TaskScores, Valued},
};
use plugrank_items::{ItemTable, View};
use plugrank_value::{MOST_OPERANDS, ValueFormula, ValueName};

/// Formulas that calls bring and that are kept bound.
const MOST_KEPT: usize = 256;

/// What a name stands for.
#[derive(Debug)]
enum Operand {
    /// A task's probability, by the task's place.
    Task(usize),
    /// An item's number in the column of this name.
    Item(Box<str>),
    /// The request's feature of this name.
    Request(Box<str>),
    /// What the caller gives of a candidate by this name.
    Candidate(Box<str>),
}

/// A formula bound to a bundle and an item table.
#[derive(Debug)]
pub(crate) struct ItemValue {
    formula: ValueFormula,
    operands: Vec<Operand>,
}

/// What a request's values are worked out from.
pub(crate) struct Valuing<'a> {
    /// Of the main task.
    pub(crate) ctr: &'a [f32],
    /// Of each task, where there are several.
    pub(crate) scores: &'a [TaskScores],
    pub(crate) view: &'a View<'a>,
    pub(crate) items: &'a [ItemIndex],
    pub(crate) given: Option<&'a GivenFeatures>,
    pub(crate) encoder: &'a FeatureEncoder,
    pub(crate) as_of: TimestampMs,
    pub(crate) explain: bool,
}

/// What an operand is throughout one request.
enum Numbers<'a> {
    /// By candidate.
    Each(&'a [f32]),
    /// In a column of the table; in none, where no item has such a feature.
    Column(Option<usize>),
    /// The same of all.
    Fixed(f64),
    /// Given of candidates by this name.
    Given(&'a str),
}

impl ItemValue {
    /// Reads a formula and looks its names up.
    ///
    /// # Errors
    /// When it is no formula, or names what is not there; the text says what is.
    pub(crate) fn bind(text: &str, bundle: &Bundle, items: &ItemTable) -> Result<Self, String> {
        let formula = ValueFormula::parse(text).map_err(|error| error.to_string())?;
        let operand = |name: &ValueName| operand(name, bundle, items);
        let operands = formula.names().iter().map(operand).collect::<Result<_, _>>()?;
        Ok(Self { formula, operands })
    }

    /// A value given of a candidate that cannot be reckoned with.
    pub(crate) fn wrong_candidate(&self, given: &FeatureValues) -> Option<WrongValue> {
        self.operands.iter().find_map(|operand| {
            let Operand::Candidate(name) = operand else { return None };
            let value = given.get(&**name)?;
            let wrong = !matches!(value, FeatureValue::Number(_)) && !value.is_empty();
            wrong.then(|| WrongValue {
                column: name.to_string(),
                detail: format!("is {}; the value formula reads a number", value.kind()),
            })
        })
    }

    /// The values of a request's candidates.
    pub(crate) fn values(&self, of: &Valuing<'_>) -> Valued {
        let nothing = FeatureValues::new();
        let request = of.given.map_or(&nothing, |given| &given.request);
        let numbers: Vec<Numbers<'_>> = self
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Task(task) => {
                    let several = of.scores.get(*task).map(|scores| &*scores.probabilities);
                    Numbers::Each(several.unwrap_or(of.ctr))
                }
                Operand::Item(name) => Numbers::Column(of.view.column_place(name)),
                Operand::Request(name) => {
                    let number = of.encoder.request_number(name, request, of.as_of);
                    Numbers::Fixed(number.unwrap_or(f64::NAN))
                }
                Operand::Candidate(name) => Numbers::Given(name),
            })
            .collect();
        let width = numbers.len();
        let mut row = [f64::NAN; MOST_OPERANDS];
        let mut explained = Vec::with_capacity(if of.explain { width * of.ctr.len() } else { 0 });
        let mut broken = Broken::default();
        let values = (0..of.ctr.len()).map(|at| {
            for (to, numbers) in row.iter_mut().zip(&numbers) {
                *to = number(numbers, of, at);
            }
            let value = self.formula.value(&row[..width]) as f32;
            if !value.is_finite() {
                broken.note(at, &row[..width]);
            }
            if of.explain {
                explained.extend(row[..width].iter().map(|number| *number as f32));
            }
            value
        });
        let values = values.collect();
        let names = self.formula.names().iter().filter(|_| of.explain);
        Valued {
            formula: Arc::clone(self.formula.text()),
            values,
            broken: broken.told(&self.formula, of.ctr.len()),
            names: names.map(|name| name.to_string().into()).collect(),
            numbers: explained,
        }
    }
}

fn number(numbers: &Numbers<'_>, of: &Valuing<'_>, at: usize) -> f64 {
    match numbers {
        Numbers::Each(each) => each.get(at).map_or(f64::NAN, |number| f64::from(*number)),
        Numbers::Column(None) => f64::NAN,
        Numbers::Column(Some(place)) => {
            let index = of.items.get(at);
            index.map_or(f64::NAN, |index| f64::from(of.view.number(*place, *index)))
        }
        Numbers::Fixed(number) => *number,
        Numbers::Given(name) => {
            let candidate = of.given.and_then(|given| given.candidates.get(at));
            let value = candidate.and_then(|candidate| candidate.features.get(*name));
            let number = value.and_then(|value| value.numbers().first());
            number.map_or(f64::NAN, |number| number.as_f64())
        }
    }
}

/// Values that are no finite numbers.
#[derive(Default)]
struct Broken {
    count: usize,
    /// Operands that were missing at the first of them, one bit each.
    missing: u64,
}

impl Broken {
    fn note(&mut self, _at: usize, row: &[f64]) {
        if self.count == 0 {
            let missing = row.iter().enumerate().filter(|(_, number)| number.is_nan());
            self.missing = missing.fold(0, |bits, (at, _)| bits | 1 << at);
        }
        self.count += 1;
    }

    fn told(&self, formula: &ValueFormula, of: usize) -> Option<String> {
        let count = self.count;
        if count == 0 {
            return None;
        }
        let names = formula.names().iter().enumerate();
        let missing = names.filter(|(at, _)| self.missing >> at & 1 == 1);
        let missing: Vec<String> = missing.map(|(_, name)| name.to_string()).collect();
        let why = match &missing[..] {
            [] => "it divides by 0, or the like".to_owned(),
            [first, ..] => format!(
                "{} missing; coalesce({first}, 0) in the formula stands in for what is",
                match missing.len() {
                    1 => format!("`{first}` is"),
                    _ => format!("{} are", missing.join(", ")),
                }
            ),
        };
        Some(format!("{count} of {of} items have no finite value by `{}`: {why}", formula.text()))
    }
}

fn operand(name: &ValueName, bundle: &Bundle, items: &ItemTable) -> Result<Operand, String> {
    let manifest = bundle.manifest();
    match name {
        ValueName::Task(task) => {
            let place = manifest.tasks.iter().position(|known| **known == **task);
            place.map(Operand::Task).ok_or_else(|| {
                format!(
                    "`{task}` is no task of bundle {}, which has {}; columns of items are named item.NAME, \
                     features of the request request.NAME, numbers given of candidates candidate.NAME",
                    bundle.version(),
                    manifest.tasks.join(", ")
                )
            })
        }
        ValueName::Item(column) => match items.number_column(column) {
            Ok(()) => Ok(Operand::Item(column.clone())),
            Err(why) => Err(format!("`{name}`: {why}")),
        },
        ValueName::Request(feature) => {
            let features = &manifest.features.request;
            let found = features.iter().find(|known| *known.name == **feature);
            let number = |derived, kind| derived || kind == FeatureKind::Number;
            match found {
                Some(found) if number(found.derive.is_some(), found.kind) => {
                    Ok(Operand::Request(feature.clone()))
                }
                Some(_) => Err(format!("`{name}` is a category; a formula reads numbers")),
                None => {
                    let numbers =
                        features.iter().filter(|one| number(one.derive.is_some(), one.kind));
                    let names: Vec<&str> = numbers.map(|one| &*one.name).collect();
                    Err(format!(
                        "`{name}` is no feature of the request in bundle {}, whose numbers are: {}",
                        bundle.version(),
                        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                    ))
                }
            }
        }
        // A bid or a distance is the caller's, whether or not the model reads it.
        ValueName::Candidate(given) => Ok(Operand::Candidate(given.clone())),
    }
}

/// A formula that is bound, or why it cannot be.
type Bound = Result<Arc<ItemValue>, String>;

/// The service's own formula, and those that calls bring, each bound once.
#[derive(Debug)]
pub(crate) struct ItemValues {
    bundle: Arc<Bundle>,
    items: Arc<ItemTable>,
    own: Option<Arc<ItemValue>>,
    others: RwLock<HashMap<Arc<str>, Bound>>,
}

impl ItemValues {
    /// # Errors
    /// When the service's own formula cannot be bound.
    pub(crate) fn new(
        own: Option<&str>,
        bundle: Arc<Bundle>,
        items: Arc<ItemTable>,
    ) -> Result<Self, String> {
        let own = own.map(|text| ItemValue::bind(text, &bundle, &items)).transpose()?;
        Ok(Self { bundle, items, own: own.map(Arc::new), others: RwLock::default() })
    }

    /// Binds a formula that calls will bring.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub(crate) fn keep(&mut self, text: &Arc<str>) -> Result<(), String> {
        let bound = self.bind(text)?;
        self.others.get_mut().insert(Arc::clone(text), Ok(bound));
        Ok(())
    }

    /// The formula of a call: its own, else the service's; `None` where neither has one.
    ///
    /// # Errors
    /// When the call's cannot be bound.
    pub(crate) fn for_call(
        &self,
        call: Option<&Arc<str>>,
    ) -> Result<Option<Arc<ItemValue>>, String> {
        let Some(text) = call else { return Ok(self.own.clone()) };
        if let Some(bound) = self.others.read().get(text) {
            return bound.clone().map(Some);
        }
        let bound = self.bind(text);
        let mut others = self.others.write();
        if others.len() < MOST_KEPT {
            others.insert(Arc::clone(text), bound.clone());
        }
        bound.map(Some)
    }

    /// A formula bound for a call.
    pub(crate) fn bind(&self, text: &str) -> Result<Arc<ItemValue>, String> {
        ItemValue::bind(text, &self.bundle, &self.items).map(Arc::new)
    }
}
