//! What `fuzz/` calls.

use plugrank_body::HeldMemory;
use serde::de::DeserializeOwned;

/// Decodes a body as a role does; `None` where the role refuses it.
pub fn decode<T: DeserializeOwned>(body: &[u8], held: &mut HeldMemory) -> Option<T> {
    crate::decode::decode(body, held).ok()
}
