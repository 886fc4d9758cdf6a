//! The share of the catalog that an arm's lists show, compared at an equal number of lists.
//!
//! An arm with few users shows fewer items for that alone. So users are divided by a hash into [`GROUPS`] groups, and
//! of the arm that has served more lists the share is that of as many groups as together serve what the other arm
//! served: the mean over all choices of so many groups, in closed form (rarefaction: Hurlbert, Ecology 52, 1971, with
//! groups of users for what is drawn). The variance is that of a mean of what each group adds that the others lack; where
//! all groups are taken it is the jackknife's of the number of kinds (Heltshe and Forrester, Biometrics 39, 1983).

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
};

use statrs::function::gamma::ln_gamma;

use super::Estimate;

/// Groups that users are divided into.
const GROUPS: usize = 512;
const WORDS: usize = GROUPS / 64;
/// Items that are followed, about: of a larger catalog a sample by hash.
const FOLLOWED: u64 = 1 << 17;

/// The groups that an item was shown to.
type Groups = [u64; WORDS];

/// What the arms' lists have shown of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownItems {
    /// Items whose hash is at most this are followed.
    up_to: u64,
    arms: Vec<ShownByArm>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ShownByArm {
    lists: u64,
    items: HashMap<u64, Groups, BuildHasherDefault<DefaultHasher>>,
}

impl ShownItems {
    /// Of no list yet, of so many arms and a catalog of about this size.
    #[must_use]
    pub fn new(arms: usize, catalog: u64) -> Self {
        let up_to = match catalog {
            ..=FOLLOWED => u64::MAX,
            more => (u64::MAX / more).saturating_mul(FOLLOWED),
        };
        Self { up_to, arms: vec![ShownByArm::default(); arms] }
    }

    /// Of no list yet, else the same.
    #[must_use]
    pub fn empty(&self) -> Self {
        Self { up_to: self.up_to, arms: vec![ShownByArm::default(); self.arms.len()] }
    }

    /// Adds a list that an arm showed a unit.
    ///
    /// # Panics
    /// If there is no such arm.
    pub fn add<'i>(&mut self, arm: usize, unit: &str, items: impl Iterator<Item = &'i str>) {
        let group = (hashed(unit) % GROUPS as u64) as usize;
        let shown = &mut self.arms[arm];
        shown.lists += 1;
        for item in items.map(hashed).filter(|item| *item <= self.up_to) {
            shown.items.entry(item).or_default()[group / 64] |= 1 << (group % 64);
        }
    }

    /// Adds the lists of another.
    ///
    /// # Panics
    /// If it is of other arms, or follows other items.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(
            (self.up_to, self.arms.len()),
            (other.up_to, other.arms.len()),
            "of one experiment"
        );
        for (mine, theirs) in self.arms.iter_mut().zip(&other.arms) {
            mine.lists += theirs.lists;
            for (item, groups) in &theirs.items {
                let known = mine.items.entry(*item).or_default();
                known.iter_mut().zip(groups).for_each(|(known, new)| *known |= new);
            }
        }
    }

    /// The share of a catalog of this size that the lists of an arm have shown.
    #[must_use]
    pub fn share(&self, arm: usize, catalog: u64) -> Option<f64> {
        let followed = self.followed(catalog)?;
        self.arms.get(arm).map(|arm| arm.items.len() as f64 / followed)
    }

    /// The shares of two arms at the number of lists of the one that served fewer, with `units` each for what is made
    /// of them. None where one of them served nothing.
    pub(super) fn compared(
        &self,
        arms: [usize; 2],
        units: [u64; 2],
        catalog: u64,
    ) -> Option<[Estimate; 2]> {
        let followed = self.followed(catalog)?;
        let arms = arms.map(|arm| &self.arms[arm]);
        let least = arms.iter().map(|arm| arm.lists).min().filter(|lists| *lists > 0)?;
        if units.contains(&0) {
            return None;
        }
        let of = |at: usize| {
            let part = GROUPS as f64 * (least as f64 / arms[at].lists as f64);
            let (share, squared_error) = arms[at].rarefied(part, followed);
            Estimate::known(units[at], share, squared_error)
        };
        Some([of(0), of(1)])
    }

    /// How many items of the catalog are followed.
    fn followed(&self, catalog: u64) -> Option<f64> {
        (catalog > 0).then(|| catalog as f64 * (self.up_to as f64 / u64::MAX as f64))
    }
}

impl ShownByArm {
    /// Share of the followed items that `part` groups are shown, and the variance of it. The number of groups need
    /// not be whole: binomials are those of the gamma function.
    fn rarefied(&self, part: f64, followed: f64) -> (f64, f64) {
        // By the number of groups that an item was shown to: the chance that so many groups see it, and that in a
        // group that sees it none of the others does.
        let seen: Vec<f64> = (0..=GROUPS).map(|shown| 1.0 - none_of(GROUPS, shown, part)).collect();
        let alone: Vec<f64> = (0..=GROUPS)
            .map(|shown| none_of(GROUPS - 1, shown.saturating_sub(1), (part - 1.0).max(0.0)))
            .collect();
        let (mut share, mut adds) = (0.0, vec![0.0; GROUPS]);
        for groups in self.items.values() {
            let shown = groups.iter().map(|word| word.count_ones() as usize).sum::<usize>();
            share += seen[shown];
            if alone[shown] < 1e-12 {
                continue;
            }
            for (at, word) in groups.iter().enumerate() {
                let mut word = *word;
                while word != 0 {
                    adds[at * 64 + word.trailing_zeros() as usize] += alone[shown];
                    word &= word - 1;
                }
            }
        }
        let mean = adds.iter().sum::<f64>() / GROUPS as f64;
        let spread = adds.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (GROUPS - 1) as f64;
        (share / followed, part * part / GROUPS as f64 * spread / (followed * followed))
    }
}

/// Chance that `part` of `all` groups, drawn without putting back, are none of `some`: `C(all - some, part) / C(all, part)`.
fn none_of(all: usize, some: usize, part: f64) -> f64 {
    let (all, rest) = (all as f64, (all - some) as f64);
    if part > rest {
        return 0.0;
    }
    let ln = |n: f64| ln_gamma(n + 1.0);
    (ln(rest) - ln(rest - part) - ln(all) + ln(all - part)).exp()
}

fn hashed(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(Text(text))
}

/// Text that hashes by its bytes.
struct Text<'a>(&'a str);

impl Hash for Text<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Lists of ten items of a catalog of 2,000 for so many users each, of which an arm shows the first so many.
    fn shown(seed: u64, users: [usize; 2], breadth: [f64; 2]) -> ShownItems {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut shown = ShownItems::new(2, 2_000);
        for arm in 0..2 {
            for user in 0..users[arm] {
                let list: Vec<String> = (0..10)
                    // Some items are shown far more often than others.
                    .map(|_| rng.random::<f64>().powi(2) * breadth[arm] * 2_000.0)
                    .map(|item| format!("i{}", item as usize))
                    .collect();
                shown.add(arm, &format!("{seed}-{arm}-{user}"), list.iter().map(String::as_str));
            }
        }
        shown
    }

    fn compared(shown: &ShownItems, users: [usize; 2]) -> [Estimate; 2] {
        shown.compared([0, 1], users.map(|users| users as u64), 2_000).unwrap()
    }

    #[test]
    fn the_chance_of_no_hit_is_hypergeometric() {
        // C(7, 3) / C(10, 3) = 35 / 120.
        assert!((none_of(10, 3, 3.0) - 35.0 / 120.0).abs() < 1e-12);
        assert_eq!(none_of(10, 8, 3.0), 0.0);
        assert!((none_of(10, 0, 4.0) - 1.0).abs() < 1e-12);
        let between = none_of(10, 3, 3.5);
        assert!(none_of(10, 3, 4.0) < between && between < none_of(10, 3, 3.0));
    }

    #[test]
    fn shown_items_are_counted_by_group_and_merge() {
        let (one, two) = (shown(1, [40, 40], [1.0, 1.0]), shown(2, [40, 40], [1.0, 1.0]));
        let mut both = one.clone();
        both.merge(&two);
        let items = |of: &ShownItems| of.arms[0].items.keys().copied().collect::<Vec<_>>();
        let mut union = [items(&one), items(&two)].concat();
        union.sort_unstable();
        union.dedup();
        assert_eq!(both.arms[0].items.len(), union.len());
        assert_eq!(both.share(0, 2_000), Some(union.len() as f64 / 2_000.0));
        let (share, _) = both.arms[0].rarefied(GROUPS as f64, 2_000.0);
        assert!((share - union.len() as f64 / 2_000.0).abs() < 1e-12);
    }

    #[test]
    fn catalog_coverage_does_not_depend_on_the_size_of_the_arm() {
        let differences: Vec<f64> = (0..40)
            .map(|seed| {
                let users = [1_900, 100];
                let [many, few] = compared(&shown(seed, users, [1.0, 1.0]), users);
                assert!(
                    few.value < 0.5,
                    "a hundred lists show less than half of it: {}",
                    few.value
                );
                (few.value - many.value) / (few.squared_error() + many.squared_error()).sqrt()
            })
            .collect();
        let mean = differences.iter().sum::<f64>() / 40.0;
        let spread =
            (differences.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 39.0).sqrt();
        // In units of their own error, which the jackknife puts too large rather than too small.
        assert!(mean.abs() < 0.6, "{mean}");
        assert!((0.1..1.2).contains(&spread), "{spread}");
    }

    #[test]
    fn a_narrower_arm_is_detected() {
        let users = [1_900, 400];
        let [broad, narrow] = compared(&shown(3, users, [1.0, 0.5]), users);
        let error = (broad.squared_error() + narrow.squared_error()).sqrt();
        assert!(broad.value - narrow.value > 10.0 * error, "{broad:?} {narrow:?}");
    }

    #[test]
    fn a_large_catalog_is_sampled() {
        let mut shown = ShownItems::new(1, FOLLOWED * 8);
        let items: Vec<String> = (0..40_000).map(|item| format!("i{item}")).collect();
        for (unit, list) in items.chunks(100).enumerate() {
            shown.add(0, &unit.to_string(), list.iter().map(String::as_str));
        }
        let share = shown.share(0, FOLLOWED * 8).unwrap();
        let truly = 40_000.0 / (FOLLOWED * 8) as f64;
        assert!((share / truly - 1.0).abs() < 0.05, "{share} {truly}");
        assert!((4_500..5_500).contains(&shown.arms[0].items.len()));
    }
}
