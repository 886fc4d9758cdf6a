//! Pixels equal Pillow's; files that are no images are errors.

use std::fs;

use plugrank_bundle::ImagePreprocessor;
use serde_json::json;

use crate::bundle_copy::{BundleCopy, fixture};

const MEAN: [f32; 3] = [0.5, 0.4, 0.3];
const STD: [f32; 3] = [0.25, 0.5, 1.0];

/// The image preprocessor of a bundle whose images have this size.
fn preprocessor(width: u32, height: u32) -> ImagePreprocessor {
    let copy = BundleCopy::new().edit(|manifest| {
        manifest["modal"]["image"]["width"] = json!(width);
        manifest["modal"]["image"]["height"] = json!(height);
        manifest["graphs"]["image_encoder"]["inputs"][0]["shape"] =
            json!(["batch", 3, height, width]);
    });
    ImagePreprocessor::from_bundle(&copy.open().unwrap()).unwrap()
}

/// Largest and mean difference from what Pillow made of the file, in steps of 1/255.
fn difference(name: &str, width: u32, height: u32) -> (f32, f32) {
    let bytes = fs::read(fixture("images").join(name)).unwrap();
    let pixels = preprocessor(width, height).pixels(&bytes).unwrap();
    let area = (width * height) as usize;
    assert_eq!(pixels.len(), 3 * area);
    let expected = fixture("images").join(format!("{name}.{width}x{height}.expected.png"));
    let expected = image::open(expected).unwrap().into_rgb8();
    let (mut largest, mut sum) = (0.0f32, 0.0);
    for (position, pixel) in expected.pixels().enumerate() {
        for channel in 0..3 {
            let got = pixels[channel * area + position] * STD[channel] + MEAN[channel];
            let difference = (got * 255.0 - f32::from(pixel[channel])).abs();
            largest = largest.max(difference);
            sum += difference;
        }
    }
    (largest, sum / (3 * area) as f32)
}

#[test]
fn png_pixels_equal_pillows() {
    for (name, width, height) in [
        ("drawing.png", 24, 32),
        ("drawing.png", 48, 64),
        ("drawing.png", 128, 96),
        ("grey.png", 24, 32),
        ("transparent.png", 24, 32),
        ("palette.png", 24, 32),
    ] {
        let (largest, mean) = difference(name, width, height);
        println!("{name} {width}x{height}: largest {largest}, mean {mean}");
        assert!(largest < 1e-3, "{name} {width}x{height}: {largest}");
    }
}

#[test]
fn jpeg_pixels_are_pillows() {
    for (width, height) in [(24, 32), (48, 64), (128, 96)] {
        let (largest, mean) = difference("drawing.jpg", width, height);
        println!("drawing.jpg {width}x{height}: largest {largest}, mean {mean}");
        assert!(largest < 1e-3, "{width}x{height}: {largest}, {mean}");
    }
}

#[test]
fn files_that_are_no_images_are_errors() {
    let preprocessor = preprocessor(24, 32);
    let png = fs::read(fixture("images/drawing.png")).unwrap();
    let refused = |bytes: &[u8]| preprocessor.pixels(bytes).unwrap_err().to_string();
    assert!(refused(b"").starts_with("the image cannot be used"));
    assert!(refused(b"GIF89a and so on").contains("format"));
    assert!(refused(&png[..200]).starts_with("the image cannot be used"));
    let mut flipped = png.clone();
    flipped[45] ^= 0xff;
    refused(&flipped);
}

#[test]
fn corrupt_bytes_never_panic() {
    let preprocessor = preprocessor(8, 8);
    for name in ["drawing.png", "drawing.jpg", "palette.png"] {
        let whole = fs::read(fixture("images").join(name)).unwrap();
        for cut in (0..whole.len()).step_by(37) {
            let _ = preprocessor.pixels(&whole[..cut]);
            let mut spoiled = whole.clone();
            spoiled[cut] ^= 0x55;
            let _ = preprocessor.pixels(&spoiled);
        }
    }
}

#[test]
fn an_image_too_large_is_refused_before_it_is_decoded() {
    let preprocessor = preprocessor(24, 32);
    let png = fs::read(fixture("images/drawing.png")).unwrap();
    let claiming = |width: u32, height: u32| {
        let mut claims = png.clone();
        claims[16..20].copy_from_slice(&width.to_be_bytes());
        claims[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc(&claims[12..29]).to_be_bytes();
        claims[29..33].copy_from_slice(&sum);
        preprocessor.pixels(&claims).unwrap_err().to_string()
    };
    let message = claiming(10_000, 10_000);
    assert!(message.contains("it has 10000 x 10000 pixels; at most 50000000"), "{message}");
    assert!(claiming(40_000, 2).contains("limit"), "one side too long");
    let message = preprocessor.pixels(&vec![0; (32 << 20) + 1]).unwrap_err().to_string();
    assert!(message.contains("at most 32 MiB"), "{message}");
}

/// The checksum of a PNG chunk (ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 }
        })
    })
}
