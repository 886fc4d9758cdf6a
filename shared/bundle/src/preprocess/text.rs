//! Text to token ids.

use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::{Bundle, BundleError, manifest::TextPart};

/// Tokenises as the bundle's text encoder was trained.
///
/// ```
/// use std::path::Path;
///
/// use plugrank_bundle::{Bundle, TextPreprocessor};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/small");
/// let bundle = Bundle::open(Path::new(folder)).unwrap();
/// let texts = TextPreprocessor::load(&bundle).unwrap().expect("the bundle reads texts");
/// let tokens = texts.encode(vec!["a lamp".to_owned(), "a".to_owned()]).unwrap();
/// assert_eq!(tokens.ids.len(), tokens.mask.len());
/// ```
#[derive(Debug)]
pub struct TextPreprocessor {
    tokenizer: Tokenizer,
}

/// Token ids of a batch of texts, padded with 0.
///
/// [`TextPreprocessor::encode`] returns them; [`TextPreprocessor`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Texts.
    pub rows: usize,
    /// Tokens of the longest text, at least 1.
    pub width: usize,
    /// Ids, `[rows, width]`.
    pub ids: Vec<i64>,
    /// 1 for a token and 0 for padding, `[rows, width]`.
    pub mask: Vec<i64>,
}

impl TextPreprocessor {
    /// Loads the tokenizer; `None` when the bundle has no text part.
    ///
    /// # Errors
    /// When the file is no tokenizer.
    pub fn load(bundle: &Bundle) -> Result<Option<Self>, BundleError> {
        let Some(TextPart { tokenizer: file, max_tokens, .. }) = &bundle.manifest().modal.text
        else {
            return Ok(None);
        };
        let content = |error: tokenizers::Error| BundleError::Content {
            file: file.clone(),
            message: format!("not a tokenizer this version can read: {error}"),
        };
        let mut tokenizer = Tokenizer::from_file(bundle.path(file)).map_err(content)?;
        let truncation = TruncationParams {
            max_length: *max_tokens,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
            direction: TruncationDirection::Right,
        };
        tokenizer.with_truncation(Some(truncation)).map_err(content)?;
        tokenizer.with_padding(None);
        Ok(Some(Self { tokenizer }))
    }

    /// The largest id that a token can have.
    #[must_use]
    pub fn largest_id(&self) -> u32 {
        self.tokenizer.get_vocab(true).into_values().max().unwrap_or_default()
    }

    /// Tokenises texts, none of them empty.
    ///
    /// # Errors
    /// When the tokenizer fails, which a sound one does not.
    pub fn encode(&self, texts: Vec<String>) -> Result<Tokens, String> {
        let rows = texts.len();
        let encodings = self
            .tokenizer
            .encode_batch_fast(texts, true)
            .map_err(|error| format!("tokenizer: {error}"))?;
        let width = encodings.iter().map(|text| text.get_ids().len()).max().unwrap_or(0).max(1);
        let mut ids = vec![0; rows * width];
        let mut mask = vec![0; rows * width];
        for (row, encoding) in encodings.iter().enumerate() {
            for (column, id) in encoding.get_ids().iter().enumerate() {
                ids[row * width + column] = i64::from(*id);
                mask[row * width + column] = 1;
            }
        }
        Ok(Tokens { rows, width, ids, mask })
    }
}
