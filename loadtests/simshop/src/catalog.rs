//! Hidden traits of items.

use rand_chacha::ChaCha8Rng;

use crate::{
    dice::{Draw, below, dice, normal, unit},
    plan::ShopPlan,
    weights::Weights,
    words::{brands::BRANDS, departments::DEPARTMENTS, styles::STYLES},
};

/// Numbers of a style or taste vector.
pub(crate) const FACTORS: usize = 6;
/// Shelves of a department.
const SHELVES: usize = 5;
/// How long before the log the oldest items came, in days.
const OLDEST_DAYS: f64 = 365.0;
/// Spread of the log popularity.
const POPULARITY_SPREAD: f32 = 1.0;

/// Hidden traits of an item; 32 bytes, as there may be millions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// When it entered the catalog.
    pub(crate) created_at: i64,
    /// Log price level, about standard normal over the catalog.
    pub(crate) price: f32,
    /// What only its id tells, standard normal.
    pub(crate) quality: f32,
    /// Weight of the main style, in 0.6..1.
    pub(crate) mix: f32,
    /// Main style.
    pub(crate) style: u8,
    /// Second style.
    pub(crate) accent: u8,
    /// Department.
    pub(crate) department: u8,
    /// Shelf of the department.
    pub(crate) shelf: u8,
    /// Maker.
    pub(crate) brand: u8,
}

/// All items, oldest first.
pub(crate) struct Catalog {
    /// Traits by index; item `i<index + 1>`.
    pub(crate) items: Vec<Traits>,
    /// How often items are shown, all together.
    pub(crate) popularity: Weights,
    /// Indices of a department's items, oldest first, and how often they are shown.
    pub(crate) departments: Vec<(Vec<u32>, Weights)>,
    /// Style vectors, unit length.
    styles: [[f32; FACTORS]; STYLES.len()],
}

/// Traits of makers: each has a style of its own and a price level.
struct Brand {
    style: usize,
    price: f32,
}

impl Catalog {
    /// Draws a catalog.
    pub(crate) fn draw(plan: &ShopPlan) -> Self {
        Self::draw_with(plan, 0)
    }

    /// Draws a catalog with so many items more than planned, which come after the log's end.
    pub(crate) fn draw_with(plan: &ShopPlan, more: usize) -> Self {
        let mut world = dice(plan.seed, Draw::World, 0);
        let styles = std::array::from_fn(|_| unit_vector(&mut world));
        let brands: Vec<Brand> = (0..BRANDS.len())
            .map(|index| Brand { style: index % STYLES.len(), price: normal(&mut world) })
            .collect();
        let mut catalog = Self {
            items: Vec::with_capacity(plan.items as usize),
            popularity: Weights::default(),
            departments: vec![(Vec::new(), Weights::default()); DEPARTMENTS.len()],
            styles,
        };
        let end = plan.start_ms + plan.days_ms();
        let times = creation_times(plan).into_iter().chain(std::iter::repeat_n(end, more));
        for (index, created_at) in times.enumerate() {
            let mut rng = dice(plan.seed, Draw::ItemTraits, index as u64);
            catalog.push(draw_traits(&mut rng, created_at, &brands), normal(&mut rng));
        }
        catalog
    }

    fn push(&mut self, traits: Traits, attention: f32) {
        // Shops show better items somewhat more often.
        let weight = f64::from(POPULARITY_SPREAD * attention + 0.3 * traits.quality).exp();
        let (members, weights) = &mut self.departments[usize::from(traits.department)];
        members.push(self.items.len() as u32);
        weights.push(weight);
        self.popularity.push(weight);
        self.items.push(traits);
    }

    /// Style vectors by style, unit length.
    pub(crate) fn styles(&self) -> &[[f32; FACTORS]] {
        &self.styles
    }

    /// Style vector of an item, unit length on average: its two styles, mixed.
    pub(crate) fn style_of(&self, item: &Traits) -> [f32; FACTORS] {
        let main = &self.styles[usize::from(item.style)];
        let accent = &self.styles[usize::from(item.accent)];
        let rest = 1.0 - item.mix;
        let length = (item.mix * item.mix + rest * rest).sqrt();
        std::array::from_fn(|k| (item.mix * main[k] + rest * accent[k]) / length)
    }
}

fn draw_traits(rng: &mut ChaCha8Rng, created_at: i64, brands: &[Brand]) -> Traits {
    let style = below(rng, STYLES.len());
    let accent = (style + 1 + below(rng, STYLES.len() - 1)) % STYLES.len();
    // Half of the items come from makers of their style, the rest from anyone.
    let own = unit(rng) < 0.5;
    let brand = loop {
        let brand = below(rng, brands.len());
        if !own || brands[brand].style == style {
            break brand;
        }
    };
    Traits {
        created_at,
        price: 0.6 * brands[brand].price + 0.8 * normal(rng),
        quality: normal(rng),
        mix: 0.6 + 0.4 * unit(rng) as f32,
        style: style as u8,
        accent: accent as u8,
        department: below(rng, DEPARTMENTS.len()) as u8,
        shelf: below(rng, SHELVES) as u8,
        brand: brand as u8,
    }
}

/// When items enter the catalog, oldest first.
fn creation_times(plan: &ShopPlan) -> Vec<i64> {
    let mut rng = dice(plan.seed, Draw::ItemTimes, 0);
    let mut times: Vec<i64> = (0..plan.items)
        .map(|index| {
            let at = unit(&mut rng);
            if index < plan.warm_items() {
                plan.start_ms - (at * OLDEST_DAYS * 86_400_000.0) as i64
            } else {
                plan.start_ms + (at * plan.days_ms() as f64) as i64
            }
        })
        .collect();
    times.sort_unstable();
    times
}

/// A direction, all being equally likely.
fn unit_vector(rng: &mut ChaCha8Rng) -> [f32; FACTORS] {
    let vector: [f32; FACTORS] = std::array::from_fn(|_| normal(rng));
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    vector.map(|x| x / length)
}
