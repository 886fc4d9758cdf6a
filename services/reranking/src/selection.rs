//! Fills the places one by one.

use plugrank_contract::retrieval::Name;

use crate::{
    place::{CAP_RELAXED, FilledPlace, RANKED},
    rules::{Applied, Field, Rule},
};

/// Applies rules to candidates: at most `k` of them, distinct, in their final order.
///
/// `score` never rises from one place to the next. It is what the rules make of the click
/// probability; a candidate that a rule held back, or moved in, has the score of the place before
/// where its own is greater.
#[must_use]
pub fn select(field: &Field<'_>, rules: &[Box<dyn Rule>]) -> Vec<FilledPlace> {
    let mut rules: Vec<_> = rules.iter().filter_map(|rule| rule.begin(field)).collect();
    let mut places = Filling::new(field, &mut rules).fill();
    for at in 0..rules.len() {
        let mut rule = rules.remove(at);
        rule.finish(field, &mut places, &mut rules);
        rules.insert(at, rule);
    }
    places
}

struct Filling<'a> {
    field: &'a Field<'a>,
    rules: &'a mut [Box<dyn Applied>],
    /// Candidates whose click probability is a number come first in the order.
    numbers: usize,
    /// What the candidates of the pool are worth now.
    values: Vec<f32>,
    open: Vec<bool>,
    places: Vec<FilledPlace>,
}

impl<'a> Filling<'a> {
    fn new(field: &'a Field<'a>, rules: &'a mut [Box<dyn Applied>]) -> Self {
        let numbers = field.ctr.partition_point(|ctr| ctr.is_finite());
        let values = field.ctr[..field.pool.min(numbers)].to_vec();
        let places = Vec::with_capacity(field.k.min(field.ctr.len()));
        Self { field, rules, numbers, values, open: vec![true; numbers], places }
    }

    /// Each place goes to the candidate with the greatest value that the rules admit: from the pool;
    /// if it has none, from the rest in order; if that has none either, the rules are relaxed.
    /// Candidates whose click probability is no number come last.
    fn fill(mut self) -> Vec<FilledPlace> {
        while self.places.len() < self.field.k {
            let admitted = self.best(|rules, item| admits(rules, self.field, item));
            let (rule, item) = match admitted {
                Some(item) => (RANKED, item),
                None => match self.best(|_, _| true) {
                    Some(item) => (CAP_RELAXED, item),
                    None => break,
                },
            };
            let value = self.values.get(item).copied().unwrap_or(self.field.ctr[item]);
            self.open[item] = false;
            self.place(item, value, rule);
        }
        for item in self.numbers..self.field.ctr.len() {
            if self.places.len() >= self.field.k {
                break;
            }
            let admitted = admits(self.rules, self.field, item);
            self.place(item, 0.0, if admitted { RANKED } else { CAP_RELAXED });
        }
        self.places
    }

    /// The best admitted candidate that is left. The pool comes first, and the first of equals is the
    /// more probable one.
    fn best(&self, admits: impl Fn(&[Box<dyn Applied>], usize) -> bool) -> Option<usize> {
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
    fn place(&mut self, item: usize, value: f32, rule: Name) {
        let score = self.places.last().map_or(value, |before| before.score.min(value));
        self.places.push(FilledPlace { item, score, rule });
        for rule in self.rules.iter_mut() {
            rule.placed(self.field, item, &mut self.values);
        }
    }
}

fn admits(rules: &[Box<dyn Applied>], field: &Field<'_>, item: usize) -> bool {
    rules.iter().all(|rule| rule.admits(field, item))
}
