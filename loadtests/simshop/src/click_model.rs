//! The true probability of a click.

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{Catalog, Traits},
    plan::ShopPlan,
    shoppers::Shopper,
};

/// The true probability of a click, in closed form (the formula is in `docs/simshop.md`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClickModel {
    /// Added to every logit.
    pub(crate) bias: f64,
    /// Weight of the taste for the item's style.
    pub(crate) style: f64,
    /// Weight of the liking of its department.
    pub(crate) category: f64,
    /// Weight of the squared distance of price and budget.
    pub(crate) price: f64,
    /// Weight of the item's own quality.
    pub(crate) quality: f64,
    /// Weight of ln(1 + position).
    pub(crate) position: f64,
    /// How far tastes turn over the whole log, in radians.
    pub(crate) drift: f64,
}

impl ClickModel {
    /// The model with its bias still 0.
    pub(crate) fn unbiased(plan: &ShopPlan) -> Self {
        Self {
            bias: 0.0,
            style: 1.0,
            category: 0.6,
            price: 0.25,
            quality: 0.6,
            position: 0.4,
            drift: plan.drift,
        }
    }

    /// Logit of a click at `position` (from 0) when the share `progress` of the log has passed.
    pub(crate) fn logit(
        &self,
        catalog: &Catalog,
        user: &Shopper,
        item: &Traits,
        progress: f64,
        position: usize,
    ) -> f64 {
        let taste = user.taste_at(progress, self.drift);
        let style: f32 = catalog.style_of(item).iter().zip(taste).map(|(z, t)| z * t).sum();
        let distance = f64::from(item.price - user.budget);
        self.bias
            + self.style * f64::from(style)
            + self.category * f64::from(user.departments[usize::from(item.department)])
            - self.price * distance * distance
            + self.quality * f64::from(item.quality)
            - self.position * (position as f64).ln_1p()
    }

    /// Sets the bias so that the mean probability over sample logits (made with bias 0) is `ctr`.
    pub(crate) fn calibrate(&mut self, logits: &[f64], ctr: f64) {
        let (mut low, mut high) = (-30.0, 30.0);
        // Sixty halvings leave less than a double can tell.
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            let mean = logits.iter().map(|logit| sigmoid(logit + middle)).sum::<f64>()
                / logits.len().max(1) as f64;
            if mean < ctr { low = middle } else { high = middle }
        }
        self.bias = 0.5 * (low + high);
    }
}

/// The logistic function.
pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::{ClickModel, sigmoid};

    #[test]
    fn calibration_meets_the_mean() {
        let mut model = ClickModel {
            bias: 0.0,
            style: 1.0,
            category: 1.0,
            price: 1.0,
            quality: 1.0,
            position: 1.0,
            drift: 0.0,
        };
        let logits: Vec<f64> = (0..1000).map(|n| f64::from(n % 17) - 8.0).collect();
        model.calibrate(&logits, 0.2);
        let mean = logits.iter().map(|logit| sigmoid(logit + model.bias)).sum::<f64>() / 1000.0;
        assert!((mean - 0.2).abs() < 1e-9, "{mean}");
    }
}
