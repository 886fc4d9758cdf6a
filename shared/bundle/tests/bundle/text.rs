//! Token ids as the small bundle's tokenizer makes them: `[CLS] 2`, `[SEP] 3`, words from 4.

use plugrank_bundle::TextPreprocessor;

use crate::bundle_copy::{BundleCopy, small};

fn preprocessor() -> TextPreprocessor {
    TextPreprocessor::load(&small()).unwrap().unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn texts_are_padded_to_the_longest() {
    let tokens = preprocessor().encode(texts(&["Red lamp", "a boat"])).unwrap();
    assert_eq!((tokens.rows, tokens.width), (2, 4));
    assert_eq!(tokens.ids, [2, 4, 6, 3, 2, 8, 1, 3]);
    let tokens = preprocessor().encode(texts(&["red\nblue shoe", "book"])).unwrap();
    assert_eq!(tokens.ids, [2, 4, 5, 7, 3, 2, 9, 3, 0, 0]);
    assert_eq!(tokens.mask, [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
}

#[test]
fn long_texts_are_cut_and_keep_their_end() {
    let tokens = preprocessor().encode(texts(&["a a a a a a a a a"])).unwrap();
    assert_eq!(tokens.ids, [2, 8, 8, 8, 8, 3], "6 tokens, the special ones among them");
}

#[test]
fn empty_text_has_no_row() {
    let tokens = preprocessor().encode(vec![]).unwrap();
    assert_eq!((tokens.rows, tokens.width, tokens.ids.len()), (0, 1, 0));
}

#[test]
fn a_bundle_without_text_has_no_tokenizer() {
    let copy = BundleCopy::new().edit(|manifest| {
        let manifest = manifest.as_object_mut().unwrap();
        manifest["modal"].as_object_mut().unwrap().remove("text");
        manifest["modal"]["dim"] = 3.into();
        let graphs = manifest["graphs"].as_object_mut().unwrap();
        graphs.remove("text_encoder");
        graphs["item_encoder"]["inputs"][0]["shape"][1] = 3.into();
        graphs["item_encoder"]["inputs"][1]["shape"][1] = 1.into();
    });
    assert!(TextPreprocessor::load(&copy.open().unwrap()).unwrap().is_none());
}

#[test]
fn an_invalid_tokenizer_is_refused() {
    let copy = BundleCopy::new().write("tokenizer.json", b"{}");
    let error = TextPreprocessor::load(&copy.open().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("tokenizer.json: not a tokenizer this version can read"), "{error}");
}
