//! Which words tell a user's clicks from everybody's.

use std::collections::{HashMap, HashSet};

use crate::api::playground::Shopper;

/// Words of a taste.
const WORDS: usize = 3;
/// Fewer clicks tell nothing of a taste.
const MIN_CLICKS: usize = 8;
/// A word stands for a taste from so many clicks on.
const MIN_MET: u32 = 3;
/// How much more often than others, at the least.
const MIN_LIFT: f64 = 1.5;

/// What a user clicked: the words of each item.
pub(super) struct Clicked<'a> {
    pub(super) user: &'a str,
    pub(super) items: Vec<&'a [String]>,
}

/// Up to `count` users, each with words that none before has, the most telling first; then others,
/// by clicks.
pub(super) fn contrasting(mut all: Vec<Clicked<'_>>, count: usize) -> Vec<Shopper> {
    let everybody = counts(all.iter().flat_map(|clicked| clicked.items.iter().copied()));
    let total: usize = all.iter().map(|clicked| clicked.items.len()).sum();
    all.retain(|clicked| !clicked.items.is_empty());
    all.sort_by(|a, b| b.items.len().cmp(&a.items.len()).then_with(|| a.user.cmp(b.user)));
    let mut tastes: Vec<_> =
        all.iter().map(|clicked| (clicked, taste(clicked, &everybody, total))).collect();
    tastes.sort_by(|(_, a), (_, b)| b.strength.total_cmp(&a.strength));
    let mut met = HashSet::new();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (clicked, taste) in tastes {
        let new = !taste.words.is_empty() && taste.words.iter().all(|word| !met.contains(word));
        if new {
            met.extend(taste.words.iter().copied());
        }
        let shopper = Shopper {
            user_id: clicked.user.to_owned(),
            clicks: clicked.items.len() as u64,
            taste: taste.words.into_iter().map(str::to_owned).collect(),
        };
        if new { first.push(shopper) } else { rest.push(shopper) }
    }
    first.extend(rest);
    first.truncate(count);
    first
}

struct Taste<'a> {
    words: Vec<&'a str>,
    /// Of the first word.
    strength: f64,
}

fn taste<'a>(clicked: &Clicked<'a>, everybody: &HashMap<&str, u32>, total: usize) -> Taste<'a> {
    let own = clicked.items.len();
    if own < MIN_CLICKS {
        return Taste { words: Vec::new(), strength: 0.0 };
    }
    let counted = counts(clicked.items.iter().copied());
    let mut telling: Vec<(f64, &str)> = counted
        .into_iter()
        .filter(|(_, met)| *met >= MIN_MET)
        .filter_map(|(word, met)| {
            let usual = f64::from(*everybody.get(word)?) * own as f64 / total as f64;
            let lift = f64::from(met) / usual.max(1e-9);
            // Surprise (Poisson): often enough, and more often than usual.
            let strength = f64::from(met) * lift.ln() - (f64::from(met) - usual);
            (lift >= MIN_LIFT).then_some((strength, word))
        })
        .collect();
    telling.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let strength = telling.first().map_or(0.0, |(strength, _)| *strength);
    Taste { words: telling.into_iter().take(WORDS).map(|(_, word)| word).collect(), strength }
}

fn counts<'a>(items: impl Iterator<Item = &'a [String]>) -> HashMap<&'a str, u32> {
    let mut counts = HashMap::new();
    for word in items.flatten() {
        *counts.entry(word.as_str()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shoppers_taste_is_what_others_click_less() {
        let item = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (lamp, mug) = (item(&["lamps", "boho"]), item(&["mugs", "boho"]));
        let many = |item, count| std::iter::repeat_n(item, count).collect::<Vec<&[String]>>();
        let all = vec![
            Clicked { user: "a", items: many(&lamp, 10) },
            Clicked { user: "b", items: many(&mug, 12) },
            Clicked { user: "few", items: many(&mug, 2) },
            Clicked { user: "none", items: Vec::new() },
            Clicked { user: "c", items: many(&lamp, 9) },
        ];
        let shoppers = contrasting(all, 4);
        let told: Vec<_> =
            shoppers.iter().map(|one| (one.user_id.as_str(), one.taste.join(" "))).collect();
        // Words that all shoppers click are no taste; shoppers with a taste already listed come later.
        assert_eq!(told[..2], [("b", "mugs".to_owned()), ("a", "lamps".to_owned())]);
        assert_eq!(told[2], ("c", "lamps".to_owned()));
        assert_eq!(told[3], ("few", String::new()));
    }
}
