//! Image bytes to normalised pixels.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use plugrank_contract::image_limits::{
    MAX_DECODED_BYTES, MAX_FILE_BYTES, MAX_SIDE, check_decoded, check_pixels,
};

use super::{jpeg, resize::Rgb};
use crate::{Bundle, manifest::ImagePart};

/// Decodes, resizes and normalises as the bundle's image encoder was trained.
///
/// ```
/// use std::path::Path;
///
/// use plugrank_bundle::{Bundle, ImagePreprocessor};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/small");
/// let bundle = Bundle::open(Path::new(folder)).unwrap();
/// let images = ImagePreprocessor::from_bundle(&bundle).expect("the bundle reads images");
/// let (width, height) = images.size();
/// assert_eq!(images.len(), 3 * width * height);
/// assert!(images.pixels(b"no picture").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct ImagePreprocessor {
    part: ImagePart,
}

/// An image that cannot be used.
///
/// [`ImagePreprocessor::pixels`] returns it; [`ImagePreprocessor`] has an example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image cannot be used: {0}")]
pub struct ImageError(String);

impl ImagePreprocessor {
    /// `None` when the bundle has no image part.
    #[must_use]
    pub fn from_bundle(bundle: &Bundle) -> Option<Self> {
        bundle.manifest().modal.image.clone().map(|part| Self { part })
    }

    /// Elements of one image: 3 x height x width.
    #[must_use]
    pub fn len(&self) -> usize {
        3 * self.part.height as usize * self.part.width as usize
    }

    /// Never true: an image has pixels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height and width after resizing, in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.part.height as usize, self.part.width as usize)
    }

    /// Pixels of a JPEG or PNG file, `[3, height, width]`, resized with Pillow's bilinear filter
    /// (a triangle as wide as the reduction), divided by 255, less the mean, by the deviation.
    ///
    /// # Errors
    /// When the bytes are no image of these formats, or one too large.
    pub fn pixels(&self, bytes: &[u8]) -> Result<Vec<f32>, ImageError> {
        let (height, width) = self.size();
        let resized = decode(bytes)?.resize(width, height);
        let area = height * width;
        let mut pixels = vec![0.0; 3 * area];
        for (position, pixel) in resized.bytes.chunks_exact(3).enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                let value = f32::from(*value) / 255.0;
                pixels[channel * area + position] =
                    (value - self.part.mean[channel]) / self.part.std[channel];
            }
        }
        Ok(pixels)
    }
}

fn decode(bytes: &[u8]) -> Result<Rgb, ImageError> {
    if bytes.len() > MAX_FILE_BYTES {
        let (got, most) = (bytes.len(), MAX_FILE_BYTES >> 20);
        return Err(ImageError(format!("it has {got} bytes; at most {most} MiB are decoded")));
    }
    let failed = |error: image::ImageError| ImageError(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| ImageError(error.to_string()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width, height).map_err(ImageError)?;
    check_decoded(decoder.total_bytes()).map_err(ImageError)?;
    if is_jpeg && matches!(decoder.color_type(), ColorType::Rgb8 | ColorType::L8) {
        return jpeg::decode(bytes).map_err(ImageError);
    }
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?.into_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width == 0 || height == 0 {
        return Err(ImageError("it has no pixels".into()));
    }
    Ok(Rgb { width, height, bytes: image.into_raw() })
}
