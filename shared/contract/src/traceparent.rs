//! The W3C trace context's `traceparent`, without memory of its own.

use std::fmt;

/// Characters of a `traceparent`: version, trace, parent and flags with the dashes between them.
const LEN: usize = 55;

/// Names a span to those who are called: `00-<trace>-<parent>-<flags>` in lower-case hexadecimal
/// digits (W3C Trace Context, section 3.2). A copy costs no allocation, as every call carries one.
///
/// ```
/// use plugrank_contract::Traceparent;
///
/// let named = Traceparent::new([1; 16], [2; 8], 1);
/// assert_eq!(named.as_str(), "00-01010101010101010101010101010101-0202020202020202-01");
/// assert_eq!(Traceparent::from_header(named.as_str()), Some(named));
/// assert_eq!(Traceparent::from_header("none"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Traceparent([u8; LEN]);

impl Traceparent {
    /// Names a span of a trace.
    #[must_use]
    pub fn new(trace: [u8; 16], span: [u8; 8], flags: u8) -> Self {
        let mut text = [b'-'; LEN];
        write(&mut text[0..], &[0]);
        write(&mut text[3..], &trace);
        write(&mut text[36..], &span);
        write(&mut text[53..], &[flags]);
        Self(text)
    }

    /// Takes a header's text. A later version of the recommendation may have more after the flags,
    /// which is left out; `None` when it cannot be a `traceparent`. Whether its parts are valid is
    /// for those to say who take up the trace.
    #[must_use]
    pub fn from_header(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        let more = text.get(LEN).is_none_or(|next| *next == b'-');
        let head: [u8; LEN] = text.get(..LEN)?.try_into().ok()?;
        (more && head.is_ascii()).then_some(Self(head))
    }

    /// As the header has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn write(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Traceparent;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn traceparent_follows_the_w3c_format() {
        let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
        let span = 0xb7ad_6b71_6920_3331_u64.to_be_bytes();
        assert_eq!(Traceparent::new(trace, span, 1).as_str(), TEXT);
    }

    #[test]
    fn a_valid_header_round_trips() {
        let taken = |text: &str| Traceparent::from_header(text).map(|parent| parent.to_string());
        assert_eq!(taken(TEXT).as_deref(), Some(TEXT));
        assert_eq!(taken(&format!(" {TEXT}-more")).as_deref(), Some(TEXT));
        for bad in ["", &TEXT[1..], &format!("{TEXT}f"), &TEXT.replace("0af7", "ü7")] {
            assert_eq!(taken(bad), None, "{bad}");
        }
    }
}
