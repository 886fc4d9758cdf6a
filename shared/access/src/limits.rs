//! How much a caller may ask.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use garde::Validate;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Denied;

const DAY: Duration = Duration::from_secs(86_400);

/// How much a caller may ask of one process; it counts for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LimitOptions {
    /// Requests a second. Absent: any number.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schemars(example = 200)]
    pub per_second: Option<u32>,
    /// Requests allowed at once above that rate. Absent: as many as in a second.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schemars(example = 400)]
    pub burst: Option<u32>,
    /// Requests a day; the allowance is refilled evenly. Absent: any number.
    #[garde(range(min = 1, max = 1_000_000_000))]
    #[schemars(example = 1_000_000)]
    pub per_day: Option<u32>,
}

/// What a caller has left.
#[derive(Debug)]
pub(crate) struct Limits {
    rate: Option<Limit>,
    quota: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    limiter: DefaultDirectRateLimiter,
    /// Requests that it lets pass at once.
    most: NonZeroU32,
}

impl Limit {
    fn new(quota: Quota, most: NonZeroU32) -> Self {
        Self { limiter: RateLimiter::direct(quota.allow_burst(most)), most }
    }

    /// When so many would pass; `None` where they have.
    fn over(&self, requests: NonZeroU32) -> Option<Duration> {
        // More than its room was refused before.
        let refused = self.limiter.check_n(requests).ok()?.err()?;
        Some(refused.wait_time_from(DefaultClock::default().now()))
    }
}

impl Limits {
    pub(crate) fn new(options: &LimitOptions) -> Self {
        let rate = options.per_second.and_then(NonZeroU32::new).map(|rate| {
            let burst = options.burst.and_then(NonZeroU32::new).unwrap_or(rate);
            Limit::new(Quota::per_second(rate), burst)
        });
        let quota = options
            .per_day
            .and_then(NonZeroU32::new)
            .and_then(|most| Some(Limit::new(Quota::with_period(DAY / most.get())?, most)));
        Self { rate, quota }
    }

    /// Takes one request off.
    pub(crate) fn take(&self, caller: &str) -> Result<(), Denied> {
        self.take_all(caller, NonZeroU32::MIN)
    }

    /// Takes off those of a batch beyond its first, which [`Limits::take`] took.
    pub(crate) fn take_rest(&self, caller: &str, batch: u32) -> Result<(), Denied> {
        let limits = [&self.rate, &self.quota].into_iter().flatten();
        let most = limits.map(|limit| limit.most.get()).min();
        if let Some(most) = most.filter(|most| batch > *most) {
            return Err(Denied::AtOnce { caller: caller.to_owned(), most });
        }
        match NonZeroU32::new(batch.saturating_sub(1)) {
            Some(rest) => self.take_all(caller, rest),
            None => Ok(()),
        }
    }

    fn take_all(&self, caller: &str, requests: NonZeroU32) -> Result<(), Denied> {
        let over = |limit: &Option<Limit>| limit.as_ref()?.over(requests);
        if let Some(after) = over(&self.rate) {
            return Err(Denied::Rate { caller: caller.to_owned(), after });
        }
        if let Some(after) = over(&self.quota) {
            return Err(Denied::Quota { caller: caller.to_owned(), after });
        }
        Ok(())
    }
}

// The limiter counts from when it was made; `Instant` is what its clock reads.
const _: fn(&DefaultClock) -> Instant = |clock| clock.now();

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(options: LimitOptions) -> Limits {
        Limits::new(&options)
    }

    #[test]
    fn a_burst_passes_and_further_requests_get_a_retry_time() {
        let some = LimitOptions { per_second: Some(1), burst: Some(3), per_day: None };
        let limits = limits(some);
        for _ in 0..3 {
            assert_eq!(limits.take("shop"), Ok(()));
        }
        let Err(Denied::Rate { caller, after }) = limits.take("shop") else { panic!("let in") };
        assert_eq!(caller, "shop");
        assert!(after > Duration::ZERO && after <= Duration::from_secs(1), "{after:?}");
    }

    #[test]
    fn a_quota_resets_daily() {
        let limits = limits(LimitOptions { per_day: Some(2), ..LimitOptions::default() });
        assert_eq!((limits.take("shop"), limits.take("shop")), (Ok(()), Ok(())));
        let Err(Denied::Quota { after, .. }) = limits.take("shop") else { panic!("let in") };
        assert!(after > Duration::from_secs(43_000) && after <= DAY / 2, "{after:?}");
    }

    #[test]
    fn a_batch_counts_as_the_requests_it_holds() {
        let some = LimitOptions { per_second: Some(1), burst: Some(10), per_day: Some(100) };
        let limits = limits(some);
        assert_eq!((limits.take("shop"), limits.take_rest("shop", 8)), (Ok(()), Ok(())));
        assert_eq!(limits.take("shop"), Ok(()));
        assert!(matches!(limits.take_rest("shop", 3), Err(Denied::Rate { .. })));
        assert_eq!(limits.take_rest("shop", 2), Ok(()), "the tenth");
        let most = Denied::AtOnce { caller: "shop".to_owned(), most: 10 };
        assert_eq!(limits.take_rest("shop", 11), Err(most), "it never passes");
    }

    #[test]
    fn without_limits_everything_passes() {
        let limits = limits(LimitOptions::default());
        assert!((0..10_000).all(|_| limits.take("shop").is_ok()));
        assert_eq!(limits.take_rest("shop", 100), Ok(()));
    }
}
