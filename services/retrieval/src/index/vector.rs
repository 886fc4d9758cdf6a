//! Arithmetic on item vectors.

/// A vector of length 1 with the same direction; `None` for a zero vector or one that is not
/// finite, which have no direction.
#[must_use]
pub fn normalised(vector: &[f32]) -> Option<Vec<f32>> {
    let squares: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let norm = squares.sqrt();
    if !norm.is_finite() || norm < 1e-12 {
        return None;
    }
    Some(vector.iter().map(|&x| (f64::from(x) / norm) as f32).collect())
}

/// Weight of the click `rank` clicks ago: halved every `half_life` clicks.
#[must_use]
pub fn recency_weight(rank: usize, half_life: f64) -> f64 {
    (-(rank as f64) / half_life).exp2()
}

/// Mean of the vectors of a user's clicks, newest first, each weighted by [`recency_weight`], then
/// normalised. `None` without vectors, or when they cancel out.
#[must_use]
pub fn recency_mean<'a>(
    clicks: impl IntoIterator<Item = (usize, &'a [f32])>,
    half_life: f64,
) -> Option<Vec<f32>> {
    let mut sum: Vec<f32> = Vec::new();
    for (rank, vector) in clicks {
        let weight = recency_weight(rank, half_life) as f32;
        sum.resize(vector.len(), 0.0);
        for (total, x) in sum.iter_mut().zip(vector) {
            *total += weight * x;
        }
    }
    normalised(&sum)
}

#[cfg(test)]
mod tests {
    use super::{normalised, recency_mean};

    #[test]
    fn zero_vectors_are_refused() {
        assert_eq!(normalised(&[0.0, 0.0]), None);
        assert_eq!(normalised(&[f32::NAN, 1.0]), None);
        assert_eq!(normalised(&[f32::INFINITY, 1.0]), None);
        assert_eq!(normalised(&[3.0, 4.0]), Some(vec![0.6, 0.8]));
    }

    #[test]
    fn later_clicks_weigh_more() {
        let clicks: [(usize, &[f32]); 2] = [(0, &[1.0, 0.0]), (8, &[0.0, 1.0])];
        let mean = recency_mean(clicks, 8.0).unwrap();
        assert!((mean[0] / mean[1] - 2.0).abs() < 1e-5, "{mean:?}");
        assert_eq!(recency_mean([], 8.0), None);
    }
}
