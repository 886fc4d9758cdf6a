//! What an event means for a user's history and an item's statistics.

use plugrank_contract::{EventType, TimestampMs};

/// What is known about one item shown to one user by one rank request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Shown at this time, not clicked so far.
    Shown(TimestampMs),
    /// Clicked.
    Clicked,
}

/// What an event changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// The history entry to add: whether it is a click (its time is the event's).
    pub entry: Option<bool>,
    /// The time of the entry without click that a click takes the place of.
    pub replaces: Option<TimestampMs>,
    /// Impressions to count.
    pub impressions: u64,
    /// Clicks to count.
    pub clicks: u64,
    /// What is known about the exposure from now on, where that changes.
    pub exposure: Option<Exposure>,
}

/// What an event changes, given what was known about its exposure (nothing, for an event without a
/// request id).
///
/// The sum over an exposure's events does not depend on their order, but for the time of the
/// entry: it is that of the first click, or else the first impression, to arrive.
pub fn effect(event: EventType, at: TimestampMs, known: Option<Exposure>) -> Effect {
    match (event, known) {
        (EventType::Impression, None) => Effect {
            entry: Some(false),
            impressions: 1,
            exposure: Some(Exposure::Shown(at)),
            ..Effect::default()
        },
        (EventType::Click, None) => Effect {
            entry: Some(true),
            impressions: 1,
            clicks: 1,
            exposure: Some(Exposure::Clicked),
            ..Effect::default()
        },
        (EventType::Click, Some(Exposure::Shown(shown))) => Effect {
            entry: Some(true),
            replaces: Some(shown),
            clicks: 1,
            exposure: Some(Exposure::Clicked),
            ..Effect::default()
        },
        (EventType::Impression, Some(_)) | (EventType::Click, Some(Exposure::Clicked)) => {
            Effect::default()
        }
    }
}

/// An exposure as stored: one byte for what it is, then the time (i64, little-endian).
pub fn to_bytes(exposure: Exposure) -> [u8; 9] {
    let (tag, at) = match exposure {
        Exposure::Shown(at) => (0, at),
        Exposure::Clicked => (1, 0),
    };
    let mut bytes = [tag; 9];
    bytes[1..].copy_from_slice(&at.to_le_bytes());
    bytes
}

/// Reads what [`to_bytes`] wrote.
pub fn from_bytes(bytes: [u8; 9]) -> Option<Exposure> {
    let [tag, at @ ..] = bytes;
    match tag {
        0 => Some(Exposure::Shown(i64::from_le_bytes(at))),
        1 => Some(Exposure::Clicked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Impressions and clicks counted over an exposure's events.
    fn counted(events: &[EventType]) -> (u64, u64) {
        let mut known = None;
        let mut sum = (0, 0);
        for (at, event) in events.iter().enumerate() {
            let effect = effect(*event, at as i64, known);
            known = effect.exposure.or(known);
            sum = (sum.0 + effect.impressions, sum.1 + effect.clicks);
        }
        sum
    }

    #[test]
    fn an_exposure_counts_once_in_any_order() {
        use EventType::{Click, Impression};
        assert_eq!(counted(&[Impression]), (1, 0));
        assert_eq!(counted(&[Impression, Impression]), (1, 0));
        assert_eq!(counted(&[Click]), (1, 1));
        assert_eq!(counted(&[Impression, Click]), (1, 1));
        assert_eq!(counted(&[Click, Impression]), (1, 1));
        assert_eq!(counted(&[Click, Impression, Click, Impression]), (1, 1));
    }

    #[test]
    fn bytes_read_back() {
        for exposure in [Exposure::Shown(-5), Exposure::Shown(i64::MAX), Exposure::Clicked] {
            assert_eq!(from_bytes(to_bytes(exposure)), Some(exposure));
        }
        assert_eq!(from_bytes([7; 9]), None);
    }
}
