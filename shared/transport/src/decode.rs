//! Decodes calls without letting a small body become a large value.

use plugrank_body::{HeldMemory, NoRoom};
use postcard::{Deserializer, Error, de_flavors::Flavor};
use serde::de::DeserializeOwned;

/// Most that a call may take in memory once it is decoded.
const MOST: usize = 256 << 20;
/// What a byte of the body may take in the value: a number, or the length of a list, in a struct.
const BYTE: usize = 24;
/// What a text or a block takes besides its bytes: an allocation, and its place in a list.
const TEXT: usize = 64;
/// Memory is taken in steps of so many bytes.
const STEP: usize = 256 << 10;

/// Why a call was not decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// It is no such call.
    Wrong(String),
    /// It would take more memory than a call may.
    TooMuch,
    /// Other requests take the memory.
    NoRoom(NoRoom),
}

/// Decodes a call; `held` grows by what it takes.
///
/// A list costs a byte for each empty text in it, which then takes fifty times as much: what it will
/// take is counted while it is decoded, and decoding ends where that is too much.
pub(crate) fn decode<T: DeserializeOwned>(
    body: &[u8],
    held: &mut HeldMemory,
) -> Result<T, Undecoded> {
    let mut decoder =
        Deserializer::from_flavor(Counted { rest: body, spent: 0, taken: 0, held, failed: None });
    let value = T::deserialize(&mut decoder);
    let wrong = |error: Error| Undecoded::Wrong(error.to_string());
    let (rest, failed) = decoder.finalize().map_err(wrong)?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    let value = value.map_err(wrong)?;
    if !rest.is_empty() {
        return Err(Undecoded::Wrong(format!("{} bytes too many", rest.len())));
    }
    Ok(value)
}

/// A body, and what was decoded from it so far.
struct Counted<'de> {
    rest: &'de [u8],
    /// What it takes, in bytes.
    spent: usize,
    /// What was taken of `held`, in bytes.
    taken: usize,
    held: &'de mut HeldMemory,
    /// Why it ended early; postcard's errors carry no words.
    failed: Option<Undecoded>,
}

impl Counted<'_> {
    fn spend(&mut self, bytes: usize) -> postcard::Result<()> {
        self.spent = self.spent.saturating_add(bytes);
        let failed = if self.spent > MOST {
            Undecoded::TooMuch
        } else if self.spent > self.taken {
            let step = STEP.max(self.spent - self.taken);
            match self.held.grow(step) {
                Ok(()) => {
                    self.taken += step;
                    return Ok(());
                }
                Err(full) => Undecoded::NoRoom(full),
            }
        } else {
            return Ok(());
        };
        self.failed = Some(failed);
        Err(Error::SerdeDeCustom)
    }
}

impl<'de> Flavor<'de> for Counted<'de> {
    type Remainder = (&'de [u8], Option<Undecoded>);
    type Source = &'de [u8];

    fn pop(&mut self) -> postcard::Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or(Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        self.spend(BYTE)?;
        Ok(*first)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }

    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'de [u8]> {
        let split = self.rest.split_at_checked(count);
        let (taken, rest) = split.ok_or(Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        self.spend(count.saturating_add(TEXT))?;
        Ok(taken)
    }

    fn finalize(self) -> postcard::Result<Self::Remainder> {
        Ok((self.rest, self.failed))
    }
}

#[cfg(test)]
mod tests {
    use plugrank_body::BodyMemory;
    use plugrank_contract::{ItemId, embedding::FetchVectors, retrieval::RefreshItems};

    use super::*;

    fn ids(count: usize, id: &str) -> Vec<u8> {
        let item_ids = vec![ItemId::from(id); count];
        postcard::to_stdvec(&RefreshItems { item_ids }).unwrap()
    }

    #[test]
    fn the_largest_allowed_call_is_decoded() {
        let memory = BodyMemory::new(512 << 20);
        let mut held = memory.hold();
        let call: RefreshItems =
            decode(&ids(200_000, &"i".repeat(ItemId::MAX_BYTES)), &mut held).unwrap();
        assert_eq!(call.item_ids.len(), 200_000);
        assert!(memory.used() > 200_000 * ItemId::MAX_BYTES, "{}", memory.used());
        drop(held);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn decoding_stops_at_the_memory_limit() {
        let memory = BodyMemory::new(512 << 20);
        // 5 MiB on the wire.
        let body = ids(5 << 20, "");
        let decoded = decode::<RefreshItems>(&body, &mut memory.hold());
        assert_eq!(decoded.err(), Some(Undecoded::TooMuch));
        let memory = BodyMemory::new(1 << 20);
        let decoded = decode::<RefreshItems>(&ids(100_000, ""), &mut memory.hold());
        assert_eq!(decoded.err(), Some(Undecoded::NoRoom(NoRoom { limit: 1 << 20 })));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn undecodable_calls_are_errors() {
        let memory = BodyMemory::new(1 << 20);
        let wrong = |body: &[u8]| match decode::<FetchVectors>(body, &mut memory.hold()) {
            Err(Undecoded::Wrong(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(wrong(&[]).contains("end of buffer"));
        assert_eq!(wrong(&[0, 1, 7]), "1 bytes too many");
        // A length that the body cannot have.
        assert!(wrong(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).len() > 3);
    }
}
