//! Checks an item's content before it is written.

use std::{fmt::Display, io::Cursor};

use actix_web::web;
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use plugrank_contract::{
    FeatureValues, Item, ItemId, TimestampMs,
    image_limits::{MAX_DECODED_BYTES, MAX_SIDE, check_decoded, check_pixels},
};
use plugrank_store::{NewItem, StoredItem};
use tokio::sync::Semaphore;

use crate::{
    api::items::ItemContent,
    problem::Problem,
    validate::{self, Errors},
};

const MAX_TITLE_BYTES: usize = 4096;
const MAX_TEXT_BYTES: usize = 1024 * 1024;
const MAX_CATEGORIES: usize = 64;
const MAX_NAME_BYTES: usize = 256;
/// Images decoded at a time in a process; further ones wait. What they take together is bounded by it.
static DECODES: Semaphore = Semaphore::const_new(2);

/// Content that may be written.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) categories: Vec<String>,
    pub(crate) created_at: Option<TimestampMs>,
    pub(crate) available: bool,
    pub(crate) features: FeatureValues,
    /// Image file as it is.
    pub(crate) image: Option<Vec<u8>>,
}

impl Checked {
    /// The item to write; its moment in the catalog is what it was, where nothing is said of it.
    pub(crate) fn into_item(self, item_id: ItemId, before: Option<&StoredItem>) -> NewItem {
        let kept = before.map(|stored| stored.item.created_at);
        let created_at =
            self.created_at.or_else(|| kept.unwrap_or_else(|| Some(validate::now_ms())));
        let item = Item {
            item_id,
            title: self.title,
            text: self.text,
            categories: self.categories,
            created_at,
            available: self.available,
            image_hash: None,
            features: self.features,
        };
        NewItem { item, image: self.image }
    }
}

/// Checks the fields, and decodes the image once to be sure that the encoder can.
pub(crate) async fn check(content: ItemContent) -> Result<Checked, Problem> {
    let mut errors = Errors::default();
    for (field, text, max) in
        [("title", &content.title, MAX_TITLE_BYTES), ("text", &content.text, MAX_TEXT_BYTES)]
    {
        if !text.is_empty() {
            errors.text(field, text, max);
        }
    }
    count(&mut errors, "categories", content.categories.len(), MAX_CATEGORIES);
    for (at, category) in content.categories.iter().take(MAX_CATEGORIES).enumerate() {
        errors.text(&format!("categories[{at}]"), category, MAX_NAME_BYTES);
    }
    errors.features("features", &content.features);
    if let Some(created_at) = content.created_at {
        errors.range("created_at", created_at, 0..=i64::MAX);
    }
    errors.none_or(())?;
    let image = match content.image {
        Some(text) => Some(decode_image(text).await?),
        None => None,
    };
    Ok(Checked {
        title: content.title,
        text: content.text,
        categories: content.categories,
        created_at: content.created_at,
        available: content.available,
        features: content.features,
        image,
    })
}

fn count(errors: &mut Errors, field: &str, count: usize, max: usize) {
    if count > max {
        errors.add(field, format!("has {count} entries; {max} is the most"));
    }
}

/// Decoding takes milliseconds, so it is kept off the threads that serve.
async fn decode_image(text: String) -> Result<Vec<u8>, Problem> {
    let unchecked =
        |error: &dyn Display| Problem::internal(format!("the image could not be checked: {error}"));
    let permit = DECODES.acquire().await.map_err(|error| unchecked(&error))?;
    // The permit goes along: a caller that hangs up does not end the decoding.
    let checked = web::block(move || {
        let checked = check_image(text);
        drop(permit);
        checked
    });
    let checked = checked.await.map_err(|error| unchecked(&error))?;
    checked.map_err(|detail| Problem::invalid_field("image", detail))
}

/// The file, if the encoder can decode it.
fn check_image(text: String) -> Result<Vec<u8>, String> {
    let bytes = STANDARD.decode(&text).map_err(|error| format!("is not base64: {error}"))?;
    drop(text);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    let mut reader = ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|error| format!("cannot be read: {error}"))?;
    reader.limits(limits);
    let unread = |error| format!("is no JPEG or PNG that can be read: {error}");
    let decoder = reader.into_decoder().map_err(unread)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width, height)
        .and_then(|()| check_decoded(decoder.total_bytes()))
        .map_err(|why| format!("is too large: {why}"))?;
    DynamicImage::from_decoder(decoder).map_err(unread)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png() -> String {
        let mut bytes = Vec::new();
        image::RgbImage::new(2, 2)
            .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
            .unwrap();
        STANDARD.encode(bytes)
    }

    /// A PNG of one colour: few bytes at any size.
    fn one_colour_png(width: u32, height: u32) -> String {
        let mut bytes = Vec::new();
        image::GrayImage::new(width, height)
            .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
            .unwrap();
        STANDARD.encode(bytes)
    }

    #[test]
    fn an_image_that_the_encoder_cannot_decode_is_refused_on_upload() {
        assert!(check_image(one_colour_png(8192, 6000)).is_ok());
        let error = check_image(one_colour_png(8192, 6200)).unwrap_err();
        assert!(error.contains("8192 x 6200 pixels; at most 50000000"), "{error}");
        let error = check_image(one_colour_png(MAX_SIDE + 1, 1)).unwrap_err();
        assert!(error.contains("can be read"), "{error}");
        let mut deep = Vec::new();
        image::DynamicImage::new_rgba16(6000, 6000)
            .write_to(&mut Cursor::new(&mut deep), image::ImageFormat::Png)
            .unwrap();
        let error = check_image(STANDARD.encode(deep)).unwrap_err();
        assert!(error.contains("274 MiB decoded; at most 256"), "{error}");
    }

    async fn field(body: serde_json::Value) -> Option<String> {
        let content = serde_json::from_value(body).unwrap();
        check(content).await.err().and_then(|problem| problem.field.clone())
    }

    #[actix_web::test]
    async fn each_invalid_field_is_named() {
        use serde_json::json;

        assert_eq!(field(json!({"title": "", "image": png()})).await, None);
        let cut = &png()[..40];
        for (body, name) in [
            (json!({"title": "t".repeat(5000)}), "title"),
            (json!({"title": "t", "categories": ["a", ""]}), "categories[1]"),
            (json!({"title": "t", "categories": vec!["a"; 65]}), "categories"),
            (json!({"title": "t", "features": {"brand": "b".repeat(300)}}), "features.brand"),
            (
                json!({"title": "t", "features": {"tags": ["a", "b".repeat(300)]}}),
                "features.tags[1]",
            ),
            (json!({"title": "t", "created_at": -1}), "created_at"),
            (json!({"title": "t", "image": "%%%"}), "image"),
            (json!({"title": "t", "image": "bm8gaW1hZ2U="}), "image"),
            (json!({"title": "t", "image": cut}), "image"),
        ] {
            assert_eq!(field(body.clone()).await.as_deref(), Some(name), "{body}");
        }
    }
}
