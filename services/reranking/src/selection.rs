//! Fills the places one by one.

use plugrank_contract::retrieval::Name;

use crate::{
    place::{CAP_RELAXED, FilledPlace, RANKED},
    rules::{
        Applied, Field, Rule, Vacancy,
        exploration::{self, EXPLORED},
    },
};

/// Applies rules to candidates: at most `k` of them, distinct, in their final order.
///
/// `score` never rises from one place to the next. It is what the rules make of the value; a candidate
/// that a rule held back, or gave a place to, has the score of the place before where its own is greater.
#[must_use]
pub fn select<'r>(
    field: &Field<'_>,
    rules: impl IntoIterator<Item = &'r dyn Rule>,
) -> Vec<FilledPlace> {
    let begun =
        |rule: &'r dyn Rule| Some(Running { name: rule.name(), applied: rule.begin(field)? });
    let mut rules: Vec<Running> = rules.into_iter().filter_map(begun).collect();
    Filling::new(field, &mut rules).fill()
}

/// What a policy would have done at a place of a list that was shown, given the places above as they were shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaceChance {
    /// With which probability it would have put there what was shown.
    pub chance: f64,
    /// What it would have expected: over all candidates, their probability times what is expected of them.
    pub expected: f64,
}

/// Goes through a list that was shown, candidates by their place in the order, and says at each place what the rules
/// would have done there. `worth` is what is expected of each candidate. It ends where nothing can be placed.
#[must_use]
pub fn chances<'r>(
    field: &Field<'_>,
    rules: impl IntoIterator<Item = &'r dyn Rule>,
    list: &[usize],
    worth: &[f64],
) -> Vec<PlaceChance> {
    let begun =
        |rule: &'r dyn Rule| Some(Running { name: rule.name(), applied: rule.begin(field)? });
    let mut rules: Vec<Running> = rules.into_iter().filter_map(begun).collect();
    Filling::new(field, &mut rules).follow(list, worth)
}

/// A rule at work.
struct Running {
    name: &'static str,
    applied: Box<dyn Applied>,
}

struct Filling<'a> {
    field: &'a Field<'a>,
    rules: &'a mut [Running],
    /// Candidates whose value is a number come first in the order.
    numbers: usize,
    /// What the candidates of the pool are worth now.
    values: Vec<f32>,
    open: Vec<bool>,
    places: Vec<FilledPlace>,
}

impl<'a> Filling<'a> {
    fn new(field: &'a Field<'a>, rules: &'a mut [Running]) -> Self {
        let numbers = field.value.partition_point(|value| value.is_finite());
        let values = field.value[..field.pool.min(numbers)].to_vec();
        let places = Vec::with_capacity(field.k.min(field.value.len()));
        Self { field, rules, numbers, values, open: vec![true; numbers], places }
    }

    /// Each place goes to the candidate with the greatest value that the rules admit, unless a rule
    /// gives it to another: from the pool; if it has none, from the rest in order; if that has none
    /// either, the rules are relaxed. Candidates whose value is no number come last.
    fn fill(mut self) -> Vec<FilledPlace> {
        while self.places.len() < self.field.k {
            let admitted = self.best(|rules, item| admits(rules, self.field, item));
            let Some(best) = admitted else {
                let Some(item) = self.best(|_, _| true) else { break };
                let value = self.value(item);
                self.place(item, value, CAP_RELAXED, None);
                continue;
            };
            let value = self.value(best);
            let claimed = self.claimed(best);
            let (item, rule) = claimed.map_or((best, RANKED), |(item, rule)| (item, named(rule)));
            let drawn = rule == RANKED || rule == EXPLORED;
            let of = |rule: &Running| rule.applied.propensity(item, best);
            let propensity = self.rules.iter().find_map(of);
            // Who is given a place for certain is there for certain.
            let propensity = propensity.map(|drawn_with| if drawn { drawn_with } else { 1.0 });
            // A place that is given is not earned: its score is at least that of who would have it.
            let score = value.max(self.value(item));
            self.place(item, score, rule, propensity);
        }
        for item in self.numbers..self.field.value.len() {
            if self.places.len() >= self.field.k {
                break;
            }
            let admitted = admits(self.rules, self.field, item);
            self.place(item, 0.0, if admitted { RANKED } else { CAP_RELAXED }, None);
        }
        self.places
    }

    /// What could have stood at each place of a list, which is filled as it was shown.
    fn follow(mut self, list: &[usize], worth: &[f64]) -> Vec<PlaceChance> {
        let mut found = Vec::with_capacity(list.len());
        for shown in list {
            let Some((item, drawn)) = self.next() else { break };
            let rules = &*self.rules;
            let chance = |other: usize| match drawn {
                true => rules
                    .iter()
                    .find_map(|rule| rule.applied.propensity(other, item))
                    .map_or(f64::from(u8::from(other == item)), f64::from),
                false => f64::from(u8::from(other == item)),
            };
            let left = (0..self.numbers).filter(|other| self.open[*other]);
            let expected = left.map(|other| chance(other) * worth[other]).sum();
            found.push(PlaceChance { chance: chance(*shown), expected });
            let value = self.field.value[*shown];
            self.place(*shown, if value.is_finite() { value } else { 0.0 }, RANKED, None);
        }
        found
    }

    /// Who has the next place, and whether it is drawn: then it is who has it where the draw changes nothing.
    fn next(&mut self) -> Option<(usize, bool)> {
        let Some(best) = self.best(|rules, item| admits(rules, self.field, item)) else {
            return self.best(|_, _| true).map(|item| (item, false));
        };
        match self.claimed(best) {
            Some((item, rule)) if rule != exploration::NAME => Some((item, false)),
            _ => Some((best, true)),
        }
    }

    /// The item that a rule gives the next place to, and that rule's name.
    fn claimed(&mut self, best: usize) -> Option<(usize, &'static str)> {
        let Self { field, rules, numbers, values, open, places } = self;
        for at in 0..rules.len() {
            let (before, rest) = rules.split_at_mut(at);
            let (rule, after) = rest.split_first_mut()?;
            let others = || before.iter().chain(&*after);
            let admits = |item: usize| {
                open.get(item).is_some_and(|open| *open)
                    && others().all(|rule| rule.applied.admits(field, item))
            };
            let vacancy =
                Vacancy { place: places.len(), best, numbers: *numbers, values, admits: &admits };
            if let Some(item) = rule.applied.claims(field, &vacancy) {
                return Some((item, rule.name));
            }
        }
        None
    }

    fn value(&self, item: usize) -> f32 {
        self.values.get(item).copied().unwrap_or(self.field.value[item])
    }

    /// The best admitted candidate that is left. The pool comes first, and the first of equals is the
    /// one of the greater value in the beginning.
    fn best(&self, admits: impl Fn(&[Running], usize) -> bool) -> Option<usize> {
        let mut found: Option<(usize, f32)> = None;
        for (item, value) in self.values.iter().enumerate() {
            if self.open[item]
                && found.is_none_or(|(_, best)| *value > best)
                && admits(self.rules, item)
            {
                found = Some((item, *value));
            }
        }
        let beyond = || {
            (self.values.len()..self.numbers)
                .find(|item| self.open[*item] && admits(self.rules, *item))
        };
        found.map(|(item, _)| item).or_else(beyond)
    }

    /// Values fall by themselves, except where a rule held a candidate back; then it takes the score
    /// of the place before.
    fn place(&mut self, item: usize, value: f32, rule: Name, propensity: Option<f32>) {
        if let Some(open) = self.open.get_mut(item) {
            *open = false;
        }
        let score = self.places.last().map_or(value, |before| before.score.min(value));
        self.places.push(FilledPlace { item, score, rule, propensity });
        for rule in self.rules.iter_mut() {
            rule.applied.placed(self.field, item, &mut self.values);
        }
    }
}

fn admits(rules: &[Running], field: &Field<'_>, item: usize) -> bool {
    rules.iter().all(|rule| rule.applied.admits(field, item))
}

/// What a place says that a rule gave away.
fn named(rule: &'static str) -> Name {
    if rule == exploration::NAME { EXPLORED } else { Name::Borrowed(rule) }
}
