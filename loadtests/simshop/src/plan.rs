//! What to make.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// What to make: sizes and shares. The same plan gives the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct ShopPlan {
    /// Seed of everything random.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Items in the catalog.
    #[arg(long, default_value_t = 10_000)]
    pub items: u32,
    /// Users.
    #[arg(long, default_value_t = 2_000)]
    pub users: u32,
    /// Impressions over the whole time.
    #[arg(long, default_value_t = 200_000)]
    pub impressions: u64,
    /// Days that the log covers.
    #[arg(long, default_value_t = 60)]
    pub days: u32,
    /// First moment of the log, milliseconds since the Unix epoch.
    #[arg(long, value_name = "MS", default_value_t = 1_767_225_600_000)]
    pub start_ms: i64,
    /// Items in one list.
    #[arg(long, default_value_t = 10)]
    pub list: u32,
    /// Share of clicks to aim at.
    #[arg(long, default_value_t = 0.15)]
    pub ctr: f64,
    /// Share of items that enter the catalog while the log runs; the others were there before.
    #[arg(long, default_value_t = 0.3)]
    pub cold_share: f64,
    /// Share of users that come for the first time while the log runs.
    #[arg(long, default_value_t = 0.15)]
    pub new_user_share: f64,
    /// How far tastes turn from the first day to the last, in radians.
    #[arg(long, default_value_t = 0.5)]
    pub drift: f64,
    /// Share of items with a description; the others have a title only.
    #[arg(long, default_value_t = 0.97)]
    pub text_share: f64,
    /// Share of items with a picture.
    #[arg(long, default_value_t = 0.9)]
    pub image_share: f64,
    /// Leave out all pictures.
    #[arg(long)]
    pub no_images: bool,
}

impl ShopPlan {
    /// Refuses what cannot be made.
    ///
    /// # Errors
    /// Names the argument and what it may be.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.users >= 1, "--users must be at least 1");
        ensure!(self.impressions >= 1, "--impressions must be at least 1");
        ensure!((1..=3650).contains(&self.days), "--days must be in 1..=3650, is {}", self.days);
        ensure!((1..=1000).contains(&self.list), "--list must be in 1..=1000, is {}", self.list);
        ensure!(
            (0..=4_000_000_000_000).contains(&self.start_ms),
            "--start-ms must be in 0..=4000000000000, is {}",
            self.start_ms
        );
        ensure!((0.01..=0.5).contains(&self.ctr), "--ctr must be in 0.01..=0.5, is {}", self.ctr);
        for (name, share) in
            [("--cold-share", self.cold_share), ("--new-user-share", self.new_user_share)]
        {
            ensure!((0.0..=0.9).contains(&share), "{name} must be in 0..=0.9, is {share}");
        }
        for (name, share) in
            [("--text-share", self.text_share), ("--image-share", self.image_share)]
        {
            ensure!((0.0..=1.0).contains(&share), "{name} must be in 0..=1, is {share}");
        }
        ensure!((0.0..=3.2).contains(&self.drift), "--drift must be in 0..=3.2, is {}", self.drift);
        ensure!(
            self.warm_items() >= 2 * self.list,
            "--items {} with --cold-share {} leaves {} items at the start, too few for lists of \
             {}; give at least {}",
            self.items,
            self.cold_share,
            self.warm_items(),
            self.list,
            (2.0 * f64::from(self.list) / (1.0 - self.cold_share)).ceil()
        );
        ensure!(
            self.requests() <= self.days_ms() as u64,
            "--impressions {} are more than one request a millisecond in --days {}; give more days",
            self.impressions,
            self.days
        );
        Ok(())
    }

    /// Items that are there at the start.
    pub(crate) fn warm_items(&self) -> u32 {
        let cold = (f64::from(self.items) * self.cold_share).round() as u32;
        self.items.saturating_sub(cold)
    }

    /// Users that are there at the start; at least one.
    pub(crate) fn first_users(&self) -> u32 {
        let new = (f64::from(self.users) * self.new_user_share).round() as u32;
        self.users.saturating_sub(new).max(1)
    }

    /// Length of the log.
    pub(crate) fn days_ms(&self) -> i64 {
        i64::from(self.days) * 86_400_000
    }

    /// Requests, the last of which may show fewer items.
    pub(crate) fn requests(&self) -> u64 {
        self.impressions.div_ceil(u64::from(self.list))
    }
}
