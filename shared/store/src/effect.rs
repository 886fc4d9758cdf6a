//! What an event means for a user's history and an item's statistics.

use plugrank_contract::{EventType, TimestampMs};

/// What is known about one item shown to one user by one rank request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Showing {
    /// When its entry of the history happened.
    pub at: TimestampMs,
    /// Whether the user showed interest.
    pub clicked: bool,
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
    /// The entry, if it is there, that gets this event's action and value: its time, and whether it is
    /// a click.
    pub retells: Option<(TimestampMs, bool)>,
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
/// positive event, or else the first other one, to arrive. Action and value of the entry are those of
/// the event that made it, or of a later one that weighs more than all before.
#[must_use]
pub fn effect(event: &EventType, at: TimestampMs, known: Option<Showing>) -> Effect {
    let counted = known.map_or(0.0, |known| known.weight);
    let weight = stronger(counted, event.weight);
    let mut effect = Effect { weight: weight - counted, ..Effect::default() };
    let positive = event.is_positive();
    let (at, clicked) = match known {
        None => {
            effect.entry = Some(positive);
            effect.impressions = 1;
            effect.clicks = u64::from(positive);
            (at, positive)
        }
        Some(known) if positive && !known.clicked => {
            effect.entry = Some(true);
            effect.replaces = Some(known.at);
            effect.clicks = 1;
            (at, true)
        }
        Some(known) => {
            let outweighs = weight.to_bits() != counted.to_bits();
            effect.retells = outweighs.then_some((known.at, known.clicked));
            (known.at, known.clicked)
        }
    };
    let showing = Showing { at, clicked, weight };
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
    bytes[0] = u8::from(showing.clicked);
    bytes[1..9].copy_from_slice(&showing.at.to_le_bytes());
    bytes[9..].copy_from_slice(&showing.weight.to_le_bytes());
    bytes
}

/// Reads what [`to_bytes`] wrote.
#[must_use]
pub fn from_bytes(bytes: [u8; SHOWING_BYTES]) -> Option<Showing> {
    let (tag, rest) = bytes.split_first()?;
    let (at, weight) = rest.split_first_chunk()?;
    let weight = f32::from_le_bytes(weight.try_into().ok()?);
    let clicked = match tag {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some(Showing { at: TimestampMs::from_le_bytes(*at), clicked, weight })
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
    fn an_impression_counts_once_in_any_order() {
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
    fn an_impression_counts_with_its_strongest_event_in_any_order() {
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
    fn an_event_of_greater_weight_replaces_the_history_entry() {
        let (click, purchase) = (EventType::click(), event(Feedback::Positive, 4.0));
        let known = effect(&click, 5, None).showing;
        assert_eq!(known, Some(Showing { at: 5, clicked: true, weight: 1.0 }));
        let bought = effect(&purchase, 9, known);
        assert_eq!((bought.entry, bought.retells), (None, Some((5, true))));
        assert_eq!(bought.showing, Some(Showing { at: 5, clicked: true, weight: 4.0 }));
        let again = effect(&click, 11, bought.showing);
        assert_eq!((again.entry, again.retells, again.showing), (None, None, None));
        let shown = effect(&EventType::impression(), 1, None).showing;
        let clicked = effect(&purchase, 2, shown);
        assert_eq!((clicked.entry, clicked.replaces, clicked.retells), (Some(true), Some(1), None));
    }

    #[test]
    fn entries_round_trip() {
        for (at, clicked) in [(-5, false), (i64::MAX, false), (7, true)] {
            let showing = Showing { at, clicked, weight: -2.5 };
            assert_eq!(from_bytes(to_bytes(showing)), Some(showing));
        }
        assert_eq!(from_bytes([7; SHOWING_BYTES]), None);
    }
}
