//! JPEG as libjpeg-turbo decodes it.
//!
//! Pillow and torchvision decode with that library. Other decoders round differently by a level or
//! two in places, which an image encoder carries on into the click probability's fourth digit.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use mozjpeg::Decompress;

use super::resize::Rgb;

/// Decodes a grey or colour JPEG to RGB.
pub(super) fn decode(bytes: &[u8]) -> Result<Rgb, String> {
    // The library reports a damaged file by unwinding.
    let decoded = catch_unwind(AssertUnwindSafe(|| scanlines(bytes)));
    match decoded {
        Ok(Ok(rgb)) => Ok(rgb),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it is damaged".to_owned()),
    }
}

fn scanlines(bytes: &[u8]) -> io::Result<Rgb> {
    let mut image = Decompress::new_mem(bytes)?.rgb()?;
    let (width, height) = (image.width(), image.height());
    let pixels: Vec<[u8; 3]> = image.read_scanlines()?;
    image.finish()?;
    Ok(Rgb { width, height, bytes: pixels.into_flattened() })
}
