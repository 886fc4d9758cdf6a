//! The order by value.

use plugrank_contract::{ItemId, ItemList};

/// Places of candidates in the order of their value, best first; equal ones by id, so
/// that the order they came in has no say. Values that are no finite numbers sink to the
/// bottom.
#[must_use]
pub fn by_value(items: &ItemList, ctr: &[f32]) -> Vec<u32> {
    // One integer a candidate: the probability, falling, above the place.
    let mut keys: Vec<u64> =
        ctr.iter().zip(0u64..).map(|(ctr, place)| u64::from(falling(*ctr)) << 32 | place).collect();
    keys.sort_unstable();
    let mut order: Vec<u32> = keys.iter().map(|key| *key as u32).collect();
    let equal = |a: &u64, b: &u64| a >> 32 == b >> 32;
    let mut ids: Vec<&ItemId> = Vec::new();
    let mut start = 0;
    for run in keys.chunk_by(equal) {
        if run.len() > 1 {
            if ids.is_empty() {
                ids.extend(items.ids());
            }
            order[start..start + run.len()].sort_by_key(|place| ids[*place as usize]);
        }
        start += run.len();
    }
    order
}

/// A number that rises as the probability falls; the greatest for what is no finite number.
fn falling(ctr: f32) -> u32 {
    if !ctr.is_finite() {
        return u32::MAX;
    }
    // The usual order of floats as integers (`f32::total_cmp`), with -0 as 0, turned round.
    let bits = (ctr + 0.0).to_bits();
    let rising = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    !rising
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_sorts_last_and_ties_sort_by_id() {
        let given = [
            ("10", f32::NAN),
            ("9", 0.1),
            ("8", f32::INFINITY),
            ("7", 0.3),
            ("6", f32::NEG_INFINITY),
            ("11", 0.1),
            ("5", 0.0),
            ("4", -0.5),
            ("3", -0.0),
        ];
        let items: ItemList = given.iter().map(|(id, _)| ItemId::from(*id)).collect();
        let order = by_value(&items, &given.map(|(_, ctr)| ctr));
        let ids: Vec<&str> = order.iter().map(|place| given[*place as usize].0).collect();
        assert_eq!(ids, ["7", "9", "11", "3", "5", "4", "6", "8", "10"]);
    }
}
