//! Who comes when, and what is shown.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;

use crate::{
    catalog::Catalog,
    dice::{Draw, below, dice, unit},
    plan::ShopPlan,
    shoppers::Shoppers,
};

/// Probability that a request goes on with a session rather than starting one.
const GOES_ON: f64 = 0.6;
/// How long a session stays open to go on, in milliseconds.
const SESSION_MS: f64 = 20.0 * 60_000.0;
/// Share of slots filled from the department of the session.
const FROM_DEPARTMENT: f64 = 0.45;
/// Share of slots filled from items of the last days.
const FROM_FRESH: f64 = 0.15;
/// How new an item is to be fresh, in milliseconds.
const FRESH_MS: i64 = 7 * 86_400_000;
/// Draws of a slot before the next unused item is taken.
const ATTEMPTS: usize = 20;

/// A request and the list that answered it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// When, in milliseconds.
    pub(crate) timestamp: i64,
    /// Share of the log that has passed.
    pub(crate) progress: f64,
    /// Index of the user.
    pub(crate) user: usize,
    /// Indices of the items, by position.
    pub(crate) shown: Vec<usize>,
}

struct Session {
    user: usize,
    department: usize,
}

/// Requests in the order of time.
pub(crate) struct Traffic<'a> {
    plan: &'a ShopPlan,
    catalog: &'a Catalog,
    shoppers: &'a Shoppers,
    rng: ChaCha8Rng,
    requests: u64,
    impressions_left: u64,
    next: u64,
    last_ms: i64,
    open: Vec<Session>,
    open_limit: usize,
    items_there: usize,
    first_fresh: usize,
    users_there: usize,
    department_items: Vec<usize>,
}

impl<'a> Traffic<'a> {
    /// The log itself.
    pub(crate) fn new(plan: &'a ShopPlan, catalog: &'a Catalog, shoppers: &'a Shoppers) -> Self {
        Self::sample(plan, catalog, shoppers, Draw::Traffic, plan.impressions)
    }

    /// A smaller log of the same kind over the same days.
    pub(crate) fn pilot(plan: &'a ShopPlan, catalog: &'a Catalog, shoppers: &'a Shoppers) -> Self {
        Self::sample(plan, catalog, shoppers, Draw::Pilot, plan.impressions.clamp(1, 200_000))
    }

    fn sample(
        plan: &'a ShopPlan,
        catalog: &'a Catalog,
        shoppers: &'a Shoppers,
        draw: Draw,
        impressions: u64,
    ) -> Self {
        let requests = impressions.div_ceil(u64::from(plan.list));
        let at_once = requests as f64 * SESSION_MS / plan.days_ms() as f64;
        Self {
            plan,
            catalog,
            shoppers,
            rng: dice(plan.seed, draw, 0),
            requests,
            impressions_left: impressions,
            next: 0,
            last_ms: plan.start_ms - 1,
            open: Vec::new(),
            open_limit: (at_once.round() as usize).max(1),
            items_there: 0,
            first_fresh: 0,
            users_there: 0,
            department_items: vec![0; catalog.departments.len()],
        }
    }

    /// A moment later than the last one; more come in the evening than at night.
    fn moment(&mut self) -> i64 {
        let at = (self.next as f64 + unit(&mut self.rng)) / self.requests as f64;
        let days = at * f64::from(self.plan.days);
        // Time is squeezed around 20:00: the derivative stays between 0.3 and 1.7.
        let bent =
            days + 0.7 / TAU * (TAU * (days - 1.0 / 3.0)).sin() + 0.7 / TAU * (TAU / 3.0).sin();
        let ms = self.plan.start_ms + (bent * 86_400_000.0) as i64;
        self.last_ms = ms.max(self.last_ms + 1);
        self.last_ms
    }

    /// Lets in the items and users that have come by now.
    fn advance(&mut self, now: i64) {
        let Catalog { items, departments, .. } = self.catalog;
        while items.get(self.items_there).is_some_and(|item| item.created_at <= now) {
            self.department_items[usize::from(items[self.items_there].department)] += 1;
            self.items_there += 1;
        }
        debug_assert!(self.department_items.iter().zip(departments).all(|(n, d)| *n <= d.0.len()));
        while self.first_fresh < self.items_there
            && items[self.first_fresh].created_at < now - FRESH_MS
        {
            self.first_fresh += 1;
        }
        let users = &self.shoppers.users;
        while users.get(self.users_there).is_some_and(|user| user.joined_at <= now) {
            self.users_there += 1;
        }
    }

    /// Index of the open session that makes the request.
    fn session(&mut self) -> usize {
        if !self.open.is_empty() && unit(&mut self.rng) < GOES_ON {
            return below(&mut self.rng, self.open.len());
        }
        let at = unit(&mut self.rng);
        let user = self.shoppers.activity.choose(self.users_there, at).unwrap_or(0);
        // A user comes for a department they like: the better of two random ones.
        let likes = &self.shoppers.users[user].departments;
        let [one, other] = [likes.len(); 2].map(|count| below(&mut self.rng, count));
        let department = if likes[one] >= likes[other] { one } else { other };
        let session = Session { user, department };
        if self.open.len() < self.open_limit {
            self.open.push(session);
            return self.open.len() - 1;
        }
        let place = below(&mut self.rng, self.open.len());
        self.open[place] = session;
        place
    }

    fn slot(&mut self, department: usize) -> usize {
        let source = unit(&mut self.rng);
        let at = unit(&mut self.rng);
        if source < FROM_DEPARTMENT {
            let (members, weights) = &self.catalog.departments[department];
            if let Some(chosen) = weights.choose(self.department_items[department], at) {
                return members[chosen] as usize;
            }
        } else if source < FROM_DEPARTMENT + FROM_FRESH && self.first_fresh < self.items_there {
            return self.first_fresh + below(&mut self.rng, self.items_there - self.first_fresh);
        }
        self.catalog.popularity.choose(self.items_there, at).unwrap_or(0)
    }

    /// Different items for one list.
    fn list(&mut self, department: usize, count: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = Vec::with_capacity(count);
        while shown.len() < count {
            let mut item = self.slot(department);
            let mut attempts = 1;
            while shown.contains(&item) {
                if attempts < ATTEMPTS {
                    item = self.slot(department);
                    attempts += 1;
                } else {
                    item = (item + 1) % self.items_there;
                }
            }
            shown.push(item);
        }
        shown
    }
}

impl Iterator for Traffic<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        if self.next == self.requests {
            return None;
        }
        let timestamp = self.moment();
        self.advance(timestamp);
        let session = self.session();
        let Session { user, department } = self.open[session];
        let count = u64::from(self.plan.list).min(self.impressions_left);
        let shown = self.list(department, count as usize);
        self.impressions_left -= count;
        self.next += 1;
        let passed = (timestamp - self.plan.start_ms) as f64 / self.plan.days_ms() as f64;
        Some(Request { timestamp, progress: passed.clamp(0.0, 1.0), user, shown })
    }
}
