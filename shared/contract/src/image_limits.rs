//! Largest images that are decoded: by the API and before a bundle's image encoder alike, so that
//! what is taken there is used here. A few kilobytes can claim to be gigabytes.

/// Longest side, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most pixels.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 32 << 20;
/// Memory that a decoded image may take, in bytes: 50 million pixels of 8 bits a channel, 33 million of
/// 16 bits with transparency.
pub const MAX_DECODED_BYTES: u64 = 256 << 20;

/// Refuses an image by its size in pixels.
///
/// # Errors
/// What is too large, and what would be right.
///
/// ```
/// use plugrank_contract::image_limits::check_pixels;
///
/// assert!(check_pixels(1_024, 768).is_ok());
/// assert!(check_pixels(16_000, 16_000).unwrap_err().contains("16000 x 16000 pixels"));
/// ```
pub fn check_pixels(width: u32, height: u32) -> Result<(), String> {
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "it has {width} x {height} pixels; at most {MAX_PIXELS} are decoded, send it scaled down"
        ));
    }
    Ok(())
}

/// Refuses an image by the memory that it takes once it is decoded, in bytes. A decoder's own limit does
/// not count the picture itself.
///
/// # Errors
/// How much it is, and what would be right.
///
/// ```
/// use plugrank_contract::image_limits::{MAX_DECODED_BYTES, check_decoded};
///
/// assert!(check_decoded(MAX_DECODED_BYTES).is_ok());
/// assert!(check_decoded(MAX_DECODED_BYTES + 1).is_err());
/// ```
pub fn check_decoded(bytes: u64) -> Result<(), String> {
    if bytes > MAX_DECODED_BYTES {
        let (got, most) = (bytes >> 20, MAX_DECODED_BYTES >> 20);
        return Err(format!(
            "it takes {got} MiB decoded; at most {most} MiB are, send it with 8 bits a channel"
        ));
    }
    Ok(())
}
