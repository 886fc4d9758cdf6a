//! Checks an item's content before it is written.

use std::io::Cursor;

use actix_web::web;
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ImageReader, Limits};
use plugrank_contract::{FeatureValues, TimestampMs};

use crate::{api::items::ItemContent, problem::Problem, validate::Errors};

const MAX_TITLE_BYTES: usize = 4096;
const MAX_TEXT_BYTES: usize = 1024 * 1024;
const MAX_CATEGORIES: usize = 64;
const MAX_NAME_BYTES: usize = 256;
/// Pixels a side. Larger images would be scaled down anyway, and cost memory until then.
const MAX_IMAGE_SIDE: u32 = 8192;

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
    let checked = web::block(move || {
        let bytes = STANDARD.decode(text).map_err(|error| format!("is not base64: {error}"))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_IMAGE_SIDE);
        limits.max_image_height = Some(MAX_IMAGE_SIDE);
        let mut reader = ImageReader::new(Cursor::new(&bytes))
            .with_guessed_format()
            .map_err(|error| format!("cannot be read: {error}"))?;
        reader.limits(limits);
        reader.decode().map_err(|error| format!("is no JPEG or PNG that can be read: {error}"))?;
        Ok::<_, String>(bytes)
    })
    .await
    .map_err(|error| Problem::internal(format!("the image could not be checked: {error}")))?;
    checked.map_err(|detail| Problem::invalid_field("image", detail))
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

    async fn field(body: serde_json::Value) -> Option<String> {
        let content = serde_json::from_value(body).unwrap();
        check(content).await.err().and_then(|problem| problem.field.clone())
    }

    #[actix_web::test]
    async fn each_wrong_field_is_named() {
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
            (json!({"title": "t", "features": {"sizes": vec![1; 1025]}}), "features.sizes"),
            (json!({"title": "t", "created_at": -1}), "created_at"),
            (json!({"title": "t", "image": "%%%"}), "image"),
            (json!({"title": "t", "image": "bm8gaW1hZ2U="}), "image"),
            (json!({"title": "t", "image": cut}), "image"),
        ] {
            assert_eq!(field(body.clone()).await.as_deref(), Some(name), "{body}");
        }
    }
}
