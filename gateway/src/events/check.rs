//! What is checked of an event.

use std::collections::BTreeMap;

use plugrank_contract::{Event, EventType, ItemId, TimestampMs, UserId, feature::Number};

use super::EventsOptions;
use crate::{
    api::events::EventBody,
    problem::FieldError,
    validate::{self, Errors},
};

/// Longest id of an event or a request, in bytes.
const MAX_ID_BYTES: usize = 256;
/// Longest name of a surface, in bytes.
const MAX_SURFACE_BYTES: usize = 64;
/// Largest position: a data set keeps it as a signed number of 32 bits.
const MAX_POSITION: u32 = i32::MAX.unsigned_abs();
/// Moments in milliseconds that an event may have: 1980 to 2100. What lies outside and inside by another
/// unit is of that unit.
const PLAUSIBLE: std::ops::Range<TimestampMs> = 315_532_800_000..4_102_444_800_000;

/// Checks events by the settings.
#[derive(Debug)]
pub(crate) struct Checks {
    types: BTreeMap<String, EventType>,
    ahead_ms: TimestampMs,
}

impl Checks {
    pub(crate) fn new(options: &EventsOptions) -> Self {
        Self {
            types: options.types.resolved(),
            ahead_ms: TimestampMs::try_from(options.ahead_ms).unwrap_or(TimestampMs::MAX),
        }
    }

    /// The type of a name.
    ///
    /// # Errors
    /// Where there is none: which there are.
    pub(crate) fn event_type(&self, name: &str) -> Result<&EventType, String> {
        self.types.get(name).ok_or_else(|| {
            let known = self.types.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!(
                "is {:?}; the types here are {known}; [events.types] of the settings adds one",
                validate::shortened(name)
            )
        })
    }

    /// The event of a body at a place of the list, as it came at `now`; else all that is wrong with it.
    pub(crate) fn event(
        &self,
        at: usize,
        body: EventBody<'_>,
        now: TimestampMs,
    ) -> Result<Event, Vec<FieldError>> {
        let mut errors = Errors::default();
        let pointer = |name: &str| format!("/events/{at}/{name}");
        errors.text_at(&pointer("event_id"), &body.event_id, MAX_ID_BYTES);
        errors.text_at(&pointer("user_id"), &body.user_id, UserId::MAX_BYTES);
        errors.text_at(&pointer("item_id"), &body.item_id, ItemId::MAX_BYTES);
        if let Some(request_id) = &body.request_id {
            errors.text_at(&pointer("request_id"), request_id, MAX_ID_BYTES);
        }
        if let Some(surface) = &body.surface {
            errors.text_at(&pointer("surface"), surface, MAX_SURFACE_BYTES);
        }
        match body.position {
            Some(0) => {
                errors.at(&pointer("position"), "is 0; positions count from 1, as `rank` does");
            }
            Some(position) if position > MAX_POSITION => {
                let detail = format!("is {position}; {MAX_POSITION} is the most");
                errors.at(&pointer("position"), detail);
            }
            _ => {}
        }
        if body.value.is_some_and(|value| Number::new(value).is_none()) {
            errors.at(&pointer("value"), "is no number that is finite as a float32");
        }
        let event_type = self.event_type(&body.kind);
        if let Err(unknown) = &event_type {
            errors.at(&pointer("type"), unknown.as_str());
        }
        let moment = self.moment(body.timestamp, now);
        if let Err(detail) = &moment {
            errors.at(&pointer("timestamp"), detail.as_str());
        }
        match (event_type, moment, errors.list()) {
            (Ok(event_type), Ok(timestamp), errors) if errors.is_empty() => Ok(Event {
                event_id: body.event_id.into_owned(),
                event_type: event_type.clone(),
                user_id: UserId::from(&*body.user_id),
                item_id: ItemId::from(&*body.item_id),
                value: body.value,
                request_id: body.request_id,
                position: body.position,
                surface: body.surface,
                timestamp,
            }),
            (_, _, errors) => Err(errors),
        }
    }

    /// When it happened. A clock that is a little ahead is taken back to now, so that the event counts
    /// from the next request on.
    fn moment(&self, given: Option<TimestampMs>, now: TimestampMs) -> Result<TimestampMs, String> {
        let Some(given) = given else { return Ok(now) };
        let by = |factor: f64| PLAUSIBLE.contains(&((given as f64 * factor) as TimestampMs));
        let unit = match given {
            _ if PLAUSIBLE.contains(&given) => None,
            _ if by(1e3) => Some("seconds"),
            _ if by(1e-3) => Some("microseconds"),
            _ if by(1e-6) => Some("nanoseconds"),
            _ => None,
        };
        if let Some(unit) = unit {
            return Err(format!("is {given}, {unit} since 1970; send milliseconds"));
        }
        if given < PLAUSIBLE.start {
            return Err(format!("is {given}, before 1980; send milliseconds since 1970"));
        }
        if given > now.saturating_add(self.ahead_ms) {
            let ahead = given - now;
            let allowed = self.ahead_ms;
            return Err(format!(
                "is {given}, {ahead} ms ahead of the server's clock; events.ahead_ms allows \
                 {allowed}; set the clock right, or leave it out"
            ));
        }
        Ok(given.min(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_800_000_000_000;

    fn checked(extra: &str) -> Result<Event, Vec<FieldError>> {
        let body = format!(
            "{{\"event_id\":\"e\",\"type\":\"click\",\"user_id\":\"u\",\"item_id\":\"i\"{extra}}}"
        );
        let body = serde_json::from_str(&body).unwrap();
        Checks::new(&EventsOptions::default()).event(3, body, NOW)
    }

    fn wrong(extra: &str) -> (String, String) {
        let errors = checked(extra).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        (errors[0].pointer.clone().unwrap(), errors[0].detail.clone())
    }

    #[test]
    fn an_event_with_every_field_is_parsed() {
        let more = ",\"value\":9.5,\"request_id\":\"r\",\"position\":1,\"surface\":\"home\"";
        let event = checked(more).unwrap();
        assert_eq!((event.value, event.position, event.timestamp), (Some(9.5), Some(1), NOW));
        assert_eq!(
            (event.request_id.as_deref(), event.surface.as_deref()),
            (Some("r"), Some("home"))
        );
        assert_eq!(event.event_type, EventType::click());
    }

    #[test]
    fn each_invalid_field_is_named() {
        for (extra, pointer) in [
            (",\"request_id\":\"\"", "/events/3/request_id"),
            (",\"surface\":\"\"", "/events/3/surface"),
            (",\"position\":0", "/events/3/position"),
            (",\"position\":2147483648", "/events/3/position"),
            (",\"value\":1e39", "/events/3/value"),
        ] {
            assert_eq!(wrong(extra).0, pointer);
        }
    }

    #[test]
    fn slight_clock_skew_counts_as_now_and_wrong_time_units_are_errors() {
        let at = |timestamp: i64| format!(",\"timestamp\":{timestamp}");
        for (given, kept) in [(NOW - 5, NOW - 5), (NOW, NOW), (NOW + 1, NOW), (NOW + 300_000, NOW)]
        {
            assert_eq!(checked(&at(given)).unwrap().timestamp, kept);
        }
        for (given, says) in [
            (NOW + 300_001, "300001 ms ahead of the server's clock"),
            (NOW / 1000, "seconds since 1970; send milliseconds"),
            (NOW * 1000, "microseconds"),
            (NOW * 1_000_000, "nanoseconds"),
            (-1, "before 1980"),
            (0, "before 1980"),
            (i64::MAX, "ahead"),
        ] {
            let (pointer, detail) = wrong(&at(given));
            assert_eq!(pointer, "/events/3/timestamp");
            assert!(detail.contains(says), "{given}: {detail}");
        }
    }
}
