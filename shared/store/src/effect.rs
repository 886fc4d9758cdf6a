//! What an event means for a user's history and an item's statistics.

use plugrank_contract::{EventType, TimestampMs};

/// What is known about one item shown to one user by one rank request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Showing {
    /// When it was shown; `None` once the user showed interest.
    pub shown: Option<TimestampMs>,
    /// What of it was counted for or against the item's popularity.
    pub weight: f32,
}

/// What an event changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Effect {
    /// The history entry to add: whether it is a click (its time is the event's).
    pub entry: Option<bool>,
    /// The time of the entry without click that a click takes the place of.
    pub replaces: Option<TimestampMs>,
    /// Impressions to count.
    pub impressions: u64,
    /// Clicks to count.
    pub clicks: u64,
    /// What to add to the item's popularity.
    pub weight: f32,
    /// What is known about the showing from now on, where that changes.
    pub showing: Option<Showing>,
}

/// What an event changes, given what was known about its showing (nothing, for an event without a
/// request id).
///
/// A showing counts once as an impression and at most once as a click, by the first positive event.
/// For popularity it counts with the strongest of its events' weights. So the sum over a showing's
/// events does not depend on their order, but for the time of the entry: it is that of the first
/// positive event, or else the first other one, to arrive.
#[must_use]
pub fn effect(event: &EventType, at: TimestampMs, known: Option<Showing>) -> Effect {
    let counted = known.map_or(0.0, |known| known.weight);
    let weight = stronger(counted, event.weight);
    let mut effect = Effect { weight: weight - counted, ..Effect::default() };
    let shown = match (known, event.is_positive()) {
        (None, positive) => {
            effect.entry = Some(positive);
            effect.impressions = 1;
            effect.clicks = u64::from(positive);
            (!positive).then_some(at)
        }
        (Some(Showing { shown: Some(shown), .. }), true) => {
            effect.entry = Some(true);
            effect.replaces = Some(shown);
            effect.clicks = 1;
            None
        }
        (Some(known), _) => known.shown,
    };
    let showing = Showing { shown, weight };
    effect.showing = (known != Some(showing)).then_some(showing);
    effect
}

/// Of two weights the one further from 0; of opposites the positive one.
fn stronger(a: f32, b: f32) -> f32 {
    match a.abs().total_cmp(&b.abs()).then(a.total_cmp(&b)).is_ge() {
        true => a,
        false => b,
    }
}

/// Bytes of a stored showing.
pub const SHOWING_BYTES: usize = 13;

/// A showing as stored: one byte for what it is, the time (i64), the weight (f32), little-endian.
#[must_use]
pub fn to_bytes(showing: Showing) -> [u8; SHOWING_BYTES] {
    let mut bytes = [0; SHOWING_BYTES];
    bytes[0] = u8::from(showing.shown.is_none());
    bytes[1..9].copy_from_slice(&showing.shown.unwrap_or_default().to_le_bytes());
    bytes[9..].copy_from_slice(&showing.weight.to_le_bytes());
    bytes
}

/// Reads what [`to_bytes`] wrote.
#[must_use]
pub fn from_bytes(bytes: [u8; SHOWING_BYTES]) -> Option<Showing> {
    let (tag, rest) = bytes.split_first()?;
    let (at, weight) = rest.split_first_chunk()?;
    let weight = f32::from_le_bytes(weight.try_into().ok()?);
    let shown = match tag {
        0 => Some(TimestampMs::from_le_bytes(*at)),
        1 => None,
        _ => return None,
    };
    Some(Showing { shown, weight })
}

#[cfg(test)]
mod tests {
    use plugrank_contract::Feedback;

    use super::*;

    fn event(feedback: Feedback, weight: f32) -> EventType {
        EventType { name: "x".into(), feedback, weight }
    }

    /// Impressions, clicks and weight counted over a showing's events.
    fn counted(events: &[EventType]) -> (u64, u64, f32) {
        let mut known = None;
        let mut sum = (0, 0, 0.0);
        for (at, event) in events.iter().enumerate() {
            let effect = effect(event, at as i64, known);
            known = effect.showing.or(known);
            sum = (sum.0 + effect.impressions, sum.1 + effect.clicks, sum.2 + effect.weight);
        }
        sum
    }

    #[test]
    fn a_showing_counts_once_in_any_order() {
        let (click, shown) = (EventType::click(), EventType::impression());
        let counted = |events: &[&EventType]| {
            counted(&events.iter().map(|event| (*event).clone()).collect::<Vec<_>>())
        };
        assert_eq!(counted(&[&shown]), (1, 0, 0.0));
        assert_eq!(counted(&[&shown, &shown]), (1, 0, 0.0));
        assert_eq!(counted(&[&click]), (1, 1, 1.0));
        assert_eq!(counted(&[&shown, &click]), (1, 1, 1.0));
        assert_eq!(counted(&[&click, &shown]), (1, 1, 1.0));
        assert_eq!(counted(&[&click, &shown, &click, &shown]), (1, 1, 1.0));
    }

    #[test]
    fn a_showing_counts_with_its_strongest_event_in_any_order() {
        let click = EventType::click();
        let purchase = event(Feedback::Positive, 4.0);
        let hide = event(Feedback::Negative, -2.0);
        let dislike = event(Feedback::Negative, -4.0);
        let all = [click.clone(), purchase.clone(), hide.clone(), dislike];
        for turn in 0..all.len() {
            let mut events = all.to_vec();
            events.rotate_left(turn);
            assert_eq!(counted(&events), (1, 1, 4.0), "{turn}");
        }
        assert_eq!(counted(std::slice::from_ref(&hide)), (1, 0, -2.0));
        assert_eq!(counted(&[hide, click]), (1, 1, -2.0));
    }

    #[test]
    fn bytes_read_back() {
        for shown in [Some(-5), Some(i64::MAX), None] {
            let showing = Showing { shown, weight: -2.5 };
            assert_eq!(from_bytes(to_bytes(showing)), Some(showing));
        }
        assert_eq!(from_bytes([7; SHOWING_BYTES]), None);
    }
}
