//! From logits to click probabilities that can be ordered.

use std::sync::Arc;

use plugrank_bundle::Calibration;

/// Calibrated probability of each logit, and how many logits were no finite number. Those become NaN: no
/// probability is known, and every order lets it sink.
pub(crate) fn calibrate(calibration: &Calibration, logits: &[f32]) -> (Arc<[f32]>, usize) {
    let mut broken = 0;
    let ctr = logits
        .iter()
        .map(|logit| {
            let probability = calibration.apply(*logit);
            if logit.is_finite() && probability.is_finite() {
                probability
            } else {
                broken += 1;
                f32::NAN
            }
        })
        .collect();
    (ctr, broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_finite_scores_sort_last_and_are_counted() {
        let logits = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0];
        for calibration in [
            Calibration::None,
            Calibration::Platt { a: 2.0, b: 0.1 },
            Calibration::Isotonic { x: vec![0.0, 1.0], y: vec![0.2, 0.9] },
        ] {
            let (ctr, broken) = calibrate(&calibration, &logits);
            assert_eq!(broken, 3, "{calibration:?}");
            assert!(ctr[1..4].iter().all(|ctr| ctr.is_nan()), "{ctr:?}");
            assert!(ctr[0] > ctr[4] && ctr[4] > 0.0, "{ctr:?}");
        }
    }
}
