//! Hidden traits of users, and the demographics that loosely follow them.

use plugrank_contract::User;

use crate::{
    catalog::FACTORS,
    dice::{Draw, below, dice, normal, unit},
    plan::ShopPlan,
    weights::Weights,
    words::{
        departments::DEPARTMENTS,
        people::{AGE_BANDS, HOUSEHOLDS, INCOME_BANDS, REGIONS},
    },
};

/// Columns of `users.parquet` beside the id.
pub(crate) const USER_FEATURES: [&str; 4] = ["age_band", "household", "income_band", "region"];
/// Share of a taste that age, household or income explain (as a correlation).
const EXPLAINED: f32 = 0.4;
/// Spread of the log activity.
const ACTIVITY_SPREAD: f32 = 0.8;

/// Hidden traits of a user.
#[derive(Clone, Debug)]
pub(crate) struct Shopper {
    /// First moment at which the user may come.
    pub(crate) joined_at: i64,
    /// Taste at the start; each number about standard normal.
    pub(crate) taste: [f32; FACTORS],
    /// Where the taste drifts to.
    pub(crate) later: [f32; FACTORS],
    /// Liking of each department, about standard normal.
    pub(crate) departments: [f32; DEPARTMENTS.len()],
    /// Preferred log price level.
    pub(crate) budget: f32,
    age: u8,
    household: u8,
    income: u8,
    region: u8,
}

/// All users, by the time they join.
pub(crate) struct Shoppers {
    /// Traits by index; user `u<index + 1>`.
    pub(crate) users: Vec<Shopper>,
    /// How often users come.
    pub(crate) activity: Weights,
}

impl Shoppers {
    /// Draws the users.
    pub(crate) fn draw(plan: &ShopPlan) -> Self {
        let mut world = dice(plan.seed, Draw::World, 1);
        let ages: [[f32; FACTORS]; AGE_BANDS.len()] =
            std::array::from_fn(|_| std::array::from_fn(|_| normal(&mut world)));
        let homes: [[f32; DEPARTMENTS.len()]; HOUSEHOLDS.len()] =
            std::array::from_fn(|_| std::array::from_fn(|_| normal(&mut world)));
        let mut activity = Weights::default();
        let users = joining_times(plan)
            .into_iter()
            .enumerate()
            .map(|(index, joined_at)| {
                let mut rng = dice(plan.seed, Draw::UserTraits, index as u64);
                let [age, household, income, region] =
                    [AGE_BANDS.len(), HOUSEHOLDS.len(), INCOME_BANDS.len(), REGIONS.len()]
                        .map(|count| below(&mut rng, count));
                let own = (1.0 - EXPLAINED * EXPLAINED).sqrt();
                let taste =
                    std::array::from_fn(|k| EXPLAINED * ages[age][k] + own * normal(&mut rng));
                let later = std::array::from_fn(|_| normal(&mut rng));
                let departments = std::array::from_fn(|k| {
                    EXPLAINED * homes[household][k] + own * normal(&mut rng)
                });
                // Income bands stand at -1.4 .. 1.4, which has about unit variance.
                let wealth = 0.7 * (income as f32 - 2.0);
                let budget = EXPLAINED * wealth + own * normal(&mut rng);
                activity.push(f64::from(ACTIVITY_SPREAD * normal(&mut rng)).exp());
                Shopper {
                    joined_at,
                    taste,
                    later,
                    departments,
                    budget,
                    age: age as u8,
                    household: household as u8,
                    income: income as u8,
                    region: region as u8,
                }
            })
            .collect();
        Self { users, activity }
    }
}

impl Shopper {
    /// Taste when the share `progress` of the log has passed: it turns by `drift` radians in all.
    pub(crate) fn taste_at(&self, progress: f64, drift: f64) -> [f32; FACTORS] {
        let (sin, cos) = (progress * drift).sin_cos();
        std::array::from_fn(|k| cos as f32 * self.taste[k] + sin as f32 * self.later[k])
    }

    /// The row of `users.parquet`.
    pub(crate) fn row(&self, index: usize) -> User {
        let values = [
            AGE_BANDS[usize::from(self.age)],
            HOUSEHOLDS[usize::from(self.household)],
            INCOME_BANDS[usize::from(self.income)],
            REGIONS[usize::from(self.region)],
        ];
        let features = USER_FEATURES
            .into_iter()
            .zip(values)
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        User { user_id: format!("u{}", index + 1).into(), features }
    }
}

/// When users may first come, earliest first.
fn joining_times(plan: &ShopPlan) -> Vec<i64> {
    let mut rng = dice(plan.seed, Draw::UserTimes, 0);
    let mut times: Vec<i64> = (0..plan.users)
        .map(|index| {
            let at = unit(&mut rng);
            let joins = if index < plan.first_users() { 0.0 } else { at };
            plan.start_ms + (joins * plan.days_ms() as f64) as i64
        })
        .collect();
    times.sort_unstable();
    times
}
