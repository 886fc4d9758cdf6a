//! What a caught panic said.

use std::any::Any;

/// The message of a panic's payload, as `catch_unwind` returns it.
///
/// ```
/// let payload = std::panic::catch_unwind(|| panic!("no {}", "luck")).unwrap_err();
/// assert_eq!(plugrank_contract::panic_text(payload.as_ref()), "no luck");
/// ```
#[must_use]
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
