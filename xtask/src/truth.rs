//! What shoppers of a simulated shop truly like, and the clicks that lists would truly get.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// Places of a list whose clicks are expected.
const PLACES: usize = 10;

/// What `simshop truth` prints.
#[derive(Deserialize)]
struct Printed {
    at: i64,
    position: f64,
    items: Vec<String>,
    clicks: Vec<u64>,
    shoppers: Vec<Shopper>,
}

/// A shopper. Items are places in [`Truth::items`].
#[derive(Deserialize)]
pub(crate) struct Shopper {
    pub(crate) user_id: String,
    style: String,
    not_style: String,
    departments: Vec<String>,
    budget: String,
    /// Log-odds of a click on each item, were it first in a list.
    pub(crate) logits: Vec<f64>,
}

impl Shopper {
    /// A line on what they like.
    pub(crate) fn taste(&self) -> String {
        let Self { style, not_style, departments, budget, .. } = self;
        format!("{style} {}, {budget} prices; not {not_style}", departments.join(" and "))
    }
}

/// A shop at a moment.
pub(crate) struct Truth {
    /// Milliseconds.
    pub(crate) at: i64,
    position: f64,
    pub(crate) items: Vec<String>,
    place_of: HashMap<String, usize>,
    /// Of each item.
    clicks: Vec<u64>,
    pub(crate) shoppers: Vec<Shopper>,
}

impl Truth {
    /// Of the shop in `dataset`, for some of its shoppers.
    pub(crate) fn of_shop(dataset: &Path, shoppers: usize) -> Result<Self> {
        let mut simshop = process::cargo();
        simshop.args(["run", "--quiet", "--package", "plugrank-simshop", "--", "truth"]);
        simshop.arg(dataset).args(["--shoppers", &shoppers.to_string()]);
        let printed = process::output(&mut simshop)?;
        Self::read(&printed)
    }

    fn read(printed: &str) -> Result<Self> {
        let Printed { at, position, items, clicks, shoppers } =
            serde_json::from_str(printed).context("not what `simshop truth` prints")?;
        let place_of = items.iter().cloned().zip(0..).collect();
        Ok(Self { at, position, items, place_of, clicks, shoppers })
    }

    /// Places of ids; items that are not there at the moment are left out.
    pub(crate) fn places<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Vec<usize> {
        ids.filter_map(|id| self.place_of.get(id).copied()).collect()
    }

    /// Items that nobody has clicked.
    pub(crate) fn fresh(&self) -> Vec<usize> {
        (0..self.items.len()).filter(|item| self.clicks[*item] == 0).collect()
    }

    /// By clicks, then the newest first (items come in the order of their numbers).
    pub(crate) fn by_popularity(&self, items: &[usize]) -> Vec<usize> {
        let mut order = items.to_vec();
        order.sort_by_key(|item| std::cmp::Reverse((self.clicks[*item], *item)));
        order
    }

    /// In the order of what a shopper truly likes.
    pub(crate) fn best(&self, shopper: &Shopper, items: &[usize]) -> Vec<usize> {
        let mut order = items.to_vec();
        order.sort_by(|a, b| shopper.logits[*b].total_cmp(&shopper.logits[*a]));
        order
    }

    /// Of the first places of a list that this shopper is shown.
    pub(crate) fn expected_clicks(&self, shopper: &Shopper, list: &[usize]) -> f64 {
        let chance = |(position, item): (usize, &usize)| {
            let logit = shopper.logits[*item] - self.position * (position as f64).ln_1p();
            1.0 / (1.0 + (-logit).exp())
        };
        list.iter().take(PLACES).enumerate().map(chance).sum()
    }

    /// Shoppers whose likings differ most: each next one is least like those before.
    pub(crate) fn contrasting(&self, count: usize) -> Vec<usize> {
        let items = self.items.len() as f64;
        let people = self.shoppers.len() as f64;
        // What all like alike (quality) tells nobody from another.
        let common: Vec<f64> = (0..self.items.len())
            .map(|item| self.shoppers.iter().map(|one| one.logits[item]).sum::<f64>() / people)
            .collect();
        let unit = |shopper: &Shopper| {
            let own: Vec<f64> = shopper.logits.iter().zip(&common).map(|(l, c)| l - c).collect();
            let mean = own.iter().sum::<f64>() / items;
            let length = own.iter().map(|one| (one - mean).powi(2)).sum::<f64>().sqrt();
            own.into_iter().map(|one| (one - mean) / length.max(1e-12)).collect::<Vec<_>>()
        };
        let units: Vec<Vec<f64>> = self.shoppers.iter().map(unit).collect();
        let alike = |a: usize, b: usize| {
            units[a].iter().zip(&units[b]).map(|(one, other)| one * other).sum::<f64>()
        };
        let mut chosen: Vec<usize> = (0..self.shoppers.len()).take(1).collect();
        while chosen.len() < count.min(self.shoppers.len()) {
            let nearest = |one: usize| {
                chosen.iter().map(|other| alike(one, *other)).fold(f64::NEG_INFINITY, f64::max)
            };
            let others = (0..self.shoppers.len()).filter(|one| !chosen.contains(one));
            let next = others.min_by(|a, b| nearest(*a).total_cmp(&nearest(*b)));
            chosen.extend(next);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth() -> Truth {
        let shopper = |id: &str, logits: [f64; 3]| {
            format!(
                r#"{{"user_id": "{id}", "style": "boho", "not_style": "plain", "departments": ["bags"], "budget": "low", "logits": {logits:?}}}"#
            )
        };
        let shoppers = [
            shopper("a", [-3.0, -2.0, -1.0]),
            shopper("b", [-2.9, -2.0, -1.1]),
            shopper("c", [-1.0, -2.0, -3.0]),
        ];
        Truth::read(&format!(
            r#"{{"at": 5, "position": 0.4, "items": ["x", "y", "z"], "clicks": [3, 0, 3], "shoppers": [{}]}}"#,
            shoppers.join(",")
        ))
        .unwrap()
    }

    #[test]
    fn the_best_list_is_expected_the_most_clicks() {
        let truth = truth();
        let shopper = &truth.shoppers[0];
        let best = truth.best(shopper, &[0, 1, 2]);
        assert_eq!(best, [2, 1, 0]);
        let clicks = |list: &[usize]| truth.expected_clicks(shopper, list);
        let first = 1.0 / (1.0 + f64::exp(1.0));
        assert!((clicks(&[2]) - first).abs() < 1e-12);
        assert!(clicks(&best) > clicks(&[0, 1, 2]));
    }

    #[test]
    fn places_fresh_items_and_popularity() {
        let truth = truth();
        assert_eq!(truth.places(["z", "gone", "x"].into_iter()), [2, 0]);
        assert_eq!(truth.fresh(), [1]);
        assert_eq!(truth.by_popularity(&[0, 1, 2]), [2, 0, 1]);
    }

    #[test]
    fn contrasting_shoppers_are_chosen() {
        assert_eq!(truth().contrasting(2), [0, 2]);
    }
}
