//! A simulated shop whose shoppers can be let loose on a server.

use std::{path::Path, thread};

use anyhow::Context;

use crate::{
    catalog::Catalog,
    click_model::{ClickModel, sigmoid},
    plan::ShopPlan,
    shoppers::Shoppers,
    truth::{Simulator, simulator},
};

pub(crate) struct Shop {
    pub(crate) plan: ShopPlan,
    pub(crate) catalog: Catalog,
    pub(crate) shoppers: Shoppers,
    click_model: ClickModel,
}

impl Shop {
    /// The shop that `generate` made in a folder, with the first so many of its shoppers.
    pub(crate) fn open(folder: &Path, most: usize) -> anyhow::Result<Self> {
        Self::open_with(folder, most, 0)
    }

    /// The same with so many items more, which came after the log's end.
    pub(crate) fn open_with(folder: &Path, most: usize, more: usize) -> anyhow::Result<Self> {
        let Simulator { plan, click_model } = simulator(folder)?;
        let mut shoppers = Shoppers::draw(&plan);
        shoppers.users.truncate(most);
        let catalog = Catalog::draw_with(&plan, more);
        Ok(Self { plan, catalog, shoppers, click_model })
    }

    /// True probabilities of a click, by position, at the end of the log.
    pub(crate) fn probabilities(&self, user: usize, items: &[usize]) -> anyhow::Result<Vec<f64>> {
        let shopper = &self.shoppers.users[user];
        let of = |(position, item): (usize, &usize)| {
            let traits = self
                .catalog
                .items
                .get(*item)
                .with_context(|| format!("item i{} is none of the simulated shop", item + 1))?;
            Ok(sigmoid(self.click_model.logit(&self.catalog, shopper, traits, 1.0, position)))
        };
        items.iter().enumerate().map(of).collect()
    }

    /// Does something for every shopper, so many at a time.
    pub(crate) fn for_everyone<T: Send>(
        &self,
        threads: usize,
        work: impl Fn(usize) -> anyhow::Result<T> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        let (users, threads) = (self.shoppers.users.len(), threads.max(1));
        thread::scope(|scope| {
            let work = &work;
            let part = |first: usize| {
                scope.spawn(move || {
                    (first..users).step_by(threads).map(work).collect::<Result<Vec<T>, _>>()
                })
            };
            let parts: Vec<_> = (0..threads).map(part).collect();
            let mut all = Vec::with_capacity(users);
            for part in parts {
                let done =
                    part.join().map_err(|_| anyhow::anyhow!("a shopper's thread panicked"))?;
                all.extend(done?);
            }
            Ok(all)
        })
    }
}
