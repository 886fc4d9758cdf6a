//! From an item's content to what the encoders read.

mod image;
mod jpeg;
mod resize;
mod text;

pub use image::{ImageError, ImagePreprocessor};
pub use text::{TextPreprocessor, Tokens};

/// Version of this code. It changes when an item's tokens or pixels come out differently, so that
/// modal vectors made before are made again.
pub const VERSION: u32 = 1;
