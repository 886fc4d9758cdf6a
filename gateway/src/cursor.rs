//! Cursors: what the pages of a list have shown, so that the next one shows something else.
//!
//! A cursor is all the state there is; nothing is kept between pages, and any replica answers the next
//! one. It holds the fingerprint of every item shown, in URL-safe base64, with a checksum over them, the
//! user and the surface. It says nothing that the caller could not say by `exclude`, so the checksum is
//! against mistakes and not against forgery.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The form of cursors; one of another version of the program is refused.
const FORM: u8 = 1;
/// Bytes before the fingerprints: the form and the checksum.
const HEAD: usize = 5;
/// Most items that the pages of a list show; the last page has no cursor.
pub(crate) const MOST_SHOWN: usize = 2_000;
/// Longest cursor, in bytes.
pub(crate) const MAX_BYTES: usize = (HEAD + 4 * MOST_SHOWN).div_ceil(3) * 4;

/// The cursor after a page; `None` where the list has come to its end.
pub(crate) fn write(
    user: &str,
    surface: &str,
    before: &[u32],
    page: impl ExactSizeIterator<Item = u32>,
) -> Option<String> {
    let shown = before.len() + page.len();
    if page.len() == 0 || shown > MOST_SHOWN {
        return None;
    }
    let mut bytes = Vec::with_capacity(HEAD + 4 * shown);
    bytes.resize(HEAD, FORM);
    before.iter().copied().chain(page).for_each(|one| bytes.extend_from_slice(&one.to_le_bytes()));
    let sum = checksum(user, surface, &bytes[HEAD..]);
    bytes[1..HEAD].copy_from_slice(&sum);
    Some(URL_SAFE_NO_PAD.encode(&bytes))
}

/// The fingerprints that a cursor holds, ascending.
///
/// # Errors
/// When it is none, was changed, or is of another user or surface: why.
pub(crate) fn read(user: &str, surface: &str, cursor: &str) -> Result<Vec<u32>, &'static str> {
    const NONE: &str = "is no cursor; send that of the page before, unchanged";
    if cursor.len() > MAX_BYTES {
        return Err("is longer than any cursor; send that of the page before, unchanged");
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| NONE)?;
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or(NONE)?;
    if head[0] != FORM || rest.is_empty() || rest.len() % 4 != 0 {
        return Err(NONE);
    }
    if head[1..] != checksum(user, surface, rest) {
        return Err("was changed, or is of another user or surface; begin without a cursor");
    }
    let mut shown: Vec<u32> =
        rest.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    shown.sort_unstable();
    Ok(shown)
}

/// CRC-32 over user, surface and fingerprints.
fn checksum(user: &str, surface: &str, shown: &[u8]) -> [u8; 4] {
    let mut sum = crc32fast::Hasher::new();
    for part in [user.as_bytes(), surface.as_bytes()] {
        sum.update(&(part.len() as u32).to_le_bytes());
        sum.update(part);
    }
    sum.update(shown);
    sum.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_BYTES, MOST_SHOWN, read, write};

    proptest! {
        #[test]
        fn a_cursor_round_trips(
            before in prop::collection::vec(any::<u32>(), 0..100),
            page in prop::collection::vec(any::<u32>(), 1..100),
        ) {
            let cursor = write("u", "home", &before, page.iter().copied()).unwrap();
            let mut all = [before, page].concat();
            all.sort_unstable();
            prop_assert_eq!(read("u", "home", &cursor), Ok(all));
            prop_assert!(read("v", "home", &cursor).is_err());
            prop_assert!(read("u", "cart", &cursor).is_err());
        }

        #[test]
        fn a_modified_cursor_is_refused(
            page in prop::collection::vec(any::<u32>(), 1..50),
            at in any::<prop::sample::Index>(),
            to in "[A-Za-z0-9_=+-]",
        ) {
            let cursor = write("u", "", &[], page.iter().copied()).unwrap();
            let at = at.index(cursor.len());
            let changed = format!("{}{to}{}", &cursor[..at], &cursor[at + 1..]);
            prop_assume!(changed != cursor);
            prop_assert!(read("u", "", &changed).is_err(), "{} {}", cursor, changed);
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in ".{0,60}") {
            _ = read("u", "", &text);
        }
    }

    #[test]
    fn the_last_page_has_no_cursor_and_a_cursor_has_a_maximum_length() {
        let most = write("u", "", &[], vec![7; MOST_SHOWN].into_iter()).unwrap();
        assert!(most.len() <= MAX_BYTES && read("u", "", &most).is_ok());
        assert_eq!(write("u", "", &[1], vec![7; MOST_SHOWN].into_iter()), None);
        assert_eq!(write("u", "", &[1], [].into_iter()), None, "an empty page is the last");
        assert!(read("u", "", &"A".repeat(MAX_BYTES + 1)).is_err());
    }
}
