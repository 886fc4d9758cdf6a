//! Reading an item's image from inside the folder.

use std::{
    fs::File,
    io::Read,
    path::{Component, Path},
};

use crate::DatasetError;

/// Largest image file that is read, in bytes.
pub const IMAGE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// File format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

impl ImageKind {
    /// The format, by the first bytes of the file; `None` for any other.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }
}

/// What is wrong with `image` as a path inside `root`; the file itself is not read.
pub(crate) fn check_image(root: &Path, image: &str) -> Result<(), String> {
    if !is_inside(image) {
        return Err(format!("`{image}` leads out of the folder; write a path inside it"));
    }
    if !root.join(image).is_file() {
        return Err(format!("there is no file `{image}` in the folder"));
    }
    Ok(())
}

fn is_inside(image: &str) -> bool {
    let inside = Path::new(image)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    inside && !image.is_empty()
}

/// Bytes of the JPEG or PNG at `image`, a path relative to `root`.
///
/// `root` is canonical. Links are followed, and what they lead to must lie inside the folder too.
pub(crate) fn read_image(root: &Path, image: &str) -> Result<Vec<u8>, DatasetError> {
    let refuse = |problem: String| DatasetError::Image { image: image.to_owned(), problem };
    if !is_inside(image) {
        return Err(refuse(
            "leads out of the dataset folder; write a path relative to the folder".to_owned(),
        ));
    }
    let unreadable = |error: std::io::Error| {
        refuse(format!(
            "cannot be read ({error}); put the file there, or leave `image` null for an item \
             without one"
        ))
    };
    let path = root.join(image).canonicalize().map_err(unreadable)?;
    if !path.starts_with(root) {
        return Err(refuse(
            "is a link that leads out of the dataset folder; copy the file into it".to_owned(),
        ));
    }
    let file = File::open(&path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(IMAGE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > IMAGE_MAX_BYTES {
        return Err(refuse(format!("is larger than {IMAGE_MAX_BYTES} bytes; scale it down")));
    }
    if ImageKind::from_bytes(&bytes).is_none() {
        return Err(refuse("is neither JPEG nor PNG; convert it".to_owned()));
    }
    Ok(bytes)
}
