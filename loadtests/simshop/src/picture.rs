//! Pictures: the background shows the main style, the shape's colour the second one, the shape
//! the department, the marks below it the shelf.

use anyhow::Context;
use image::{ExtendedColorType, Rgb, RgbImage, codecs::jpeg::JpegEncoder};
use rand_chacha::ChaCha8Rng;

use crate::{
    catalog::Traits,
    dice::unit,
    words::styles::{Pattern, STYLES},
};

/// Width and height, in pixels.
pub(crate) const SIDE: u32 = 48;
const JPEG_QUALITY: u8 = 88;

/// How one picture differs from others of its kind.
struct Jitter {
    /// Added to each colour channel.
    tint: [f64; 3],
    /// Moves the pattern, in pixels.
    phase: f64,
    /// Centre of the shape, in pixels.
    centre: (f64, f64),
    /// Radius of the shape, in pixels.
    radius: f64,
}

/// Draws an item's picture, as a JPEG.
pub(crate) fn draw(item: &Traits, rng: &mut ChaCha8Rng) -> anyhow::Result<Vec<u8>> {
    let main = &STYLES[usize::from(item.style)];
    let accent = &STYLES[usize::from(item.accent)];
    let jitter = Jitter {
        tint: std::array::from_fn(|_| 24.0 * (unit(rng) - 0.5)),
        phase: 8.0 * unit(rng),
        centre: (21.0 + 6.0 * unit(rng), 17.0 + 6.0 * unit(rng)),
        radius: 10.0 + 4.0 * unit(rng),
    };
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let colour = if in_shape(item.department, x, y, &jitter) || in_mark(item.shelf, x, y) {
            accent.palette[2].map(f64::from)
        } else {
            let share = pattern(main.pattern, x, y, &jitter);
            std::array::from_fn(|c| {
                let [ground, figure] = [0, 1].map(|k: usize| f64::from(main.palette[k][c]));
                ground + share * (figure - ground)
            })
        };
        let noise = 10.0 * (unit(rng) - 0.5);
        Rgb(std::array::from_fn(|c| (colour[c] + jitter.tint[c] + noise).clamp(0.0, 255.0) as u8))
    });
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .encode(&picture, SIDE, SIDE, ExtendedColorType::Rgb8)
        .context("cannot encode a picture")?;
    Ok(bytes)
}

/// How much of the pattern's colour a background pixel has, in 0..=1.
fn pattern(pattern: Pattern, x: f64, y: f64, jitter: &Jitter) -> f64 {
    let side = f64::from(SIDE);
    let on = |place: f64, period: f64, width: f64| {
        f64::from(u8::from((place + jitter.phase).rem_euclid(period) < width))
    };
    match pattern {
        Pattern::Plain => 0.0,
        Pattern::Bands => on(y, 12.0, 6.0),
        Pattern::Pinstripe => on(x, 6.0, 2.0),
        Pattern::Diagonal => on(x + y, 10.0, 5.0),
        Pattern::Grid => on(x, 8.0, 1.5).max(on(y, 8.0, 1.5)),
        Pattern::Checks => (on(x, 12.0, 6.0) - on(y, 12.0, 6.0)).abs(),
        Pattern::Waves => on(y + 3.0 * (x / 5.0).sin(), 9.0, 4.0),
        Pattern::Zigzag => on(y + (x.rem_euclid(12.0) - 6.0).abs(), 9.0, 3.0),
        Pattern::Gradient => y / side,
        Pattern::Dots => {
            let [dx, dy] = [x, y].map(|place| (place + jitter.phase).rem_euclid(9.0) - 4.5);
            f64::from(u8::from(dx * dx + dy * dy < 6.0))
        }
        Pattern::Rings => on((x - side / 2.0).hypot(y - side / 2.0), 8.0, 3.0),
        Pattern::Rays => {
            let angle = y.atan2(x + 0.5) + jitter.phase / 40.0;
            f64::from(u8::from((angle * 12.0).rem_euclid(2.0) < 1.0))
        }
    }
}

/// Whether a pixel belongs to the department's shape.
fn in_shape(department: u8, x: f64, y: f64, jitter: &Jitter) -> bool {
    let (dx, dy) = (x - jitter.centre.0, y - jitter.centre.1);
    let r = jitter.radius;
    let distance = dx.hypot(dy);
    match department {
        0 => dx.abs() < 0.85 * r && dy.abs() < 0.85 * r,
        1 => distance < r,
        2 => distance < r && distance > 0.55 * r,
        3 => dx.abs() + dy.abs() < r,
        4 => dy < 0.8 * r && dx.abs() < 0.6 * (dy + r),
        5 => (dx.abs() < 0.3 * r && dy.abs() < r) || (dy.abs() < 0.3 * r && dx.abs() < r),
        6 => distance < r && dy < 0.0,
        _ => distance < r * (0.65 + 0.35 * (5.0 * dy.atan2(dx)).cos()),
    }
}

/// Whether a pixel belongs to one of the marks that count the shelf, at the lower edge.
fn in_mark(shelf: u8, x: f64, y: f64) -> bool {
    let place = x - 4.0;
    y > 40.0
        && y < 46.0
        && place >= 0.0
        && place.rem_euclid(9.0) < 5.0
        && (place / 9.0) < f64::from(shelf) + 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::{Draw, dice};

    fn item(style: u8, department: u8) -> Traits {
        Traits {
            created_at: 0,
            price: 0.0,
            quality: 0.0,
            mix: 0.8,
            style,
            accent: (style + 5) % STYLES.len() as u8,
            department,
            shelf: 1,
            brand: 0,
        }
    }

    fn pixels(item: &Traits, index: u64) -> RgbImage {
        let bytes = draw(item, &mut dice(3, Draw::ItemPicture, index)).unwrap();
        image::load_from_memory(&bytes).unwrap().to_rgb8()
    }

    /// Mean colour of the background beside shape and marks.
    fn ground(picture: &RgbImage) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for (x, y) in (38..48).flat_map(|x| (0..38).map(move |y| (x, y))) {
            let Rgb(colour) = picture.get_pixel(x, y);
            sums.iter_mut().zip(colour).for_each(|(sum, c)| *sum += f64::from(*c) / 380.0);
        }
        sums
    }

    #[test]
    fn pictures_have_the_requested_size() {
        let picture = pixels(&item(0, 0), 0);
        assert_eq!((picture.width(), picture.height()), (SIDE, SIDE));
    }

    #[test]
    fn the_background_colour_identifies_the_style() {
        let kinds: Vec<[f64; 3]> = (0..STYLES.len() as u8)
            .map(|style| {
                let many: Vec<[f64; 3]> =
                    (0..20).map(|index| ground(&pixels(&item(style, 1), index))).collect();
                std::array::from_fn(|c| many.iter().map(|g| g[c]).sum::<f64>() / 20.0)
            })
            .collect();
        let mut right = 0;
        for style in 0..STYLES.len() as u8 {
            for index in 100..110 {
                let seen = ground(&pixels(&item(style, 4), index));
                let far = |kind: &[f64; 3]| {
                    kind.iter().zip(seen).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
                };
                let nearest =
                    (0..kinds.len()).min_by(|&a, &b| far(&kinds[a]).total_cmp(&far(&kinds[b])));
                right += usize::from(nearest == Some(usize::from(style)));
            }
        }
        // By colour only, without the pattern; a random guess finds 10 of 120.
        assert!(right > 84, "{right} of 120");
    }

    #[test]
    fn departments_have_different_shapes() {
        let jitter = Jitter { tint: [0.0; 3], phase: 0.0, centre: (24.0, 20.0), radius: 12.0 };
        let shapes: std::collections::HashSet<Vec<bool>> = (0..8)
            .map(|department| {
                (0..SIDE * SIDE)
                    .map(|n| {
                        in_shape(department, f64::from(n % SIDE), f64::from(n / SIDE), &jitter)
                    })
                    .collect()
            })
            .collect();
        assert_eq!(shapes.len(), 8);
        assert!(shapes.iter().all(|shape| shape.iter().any(|inside| *inside)));
    }
}
