//! What a modal vector is kept under.

use plugrank_contract::Item;

/// Separates these keys from all others; changes when what is hashed changes.
const DOMAIN: &[u8] = b"plugrank modal content 1";

/// BLAKE3 of what the text and image encoders read of an item, so that a change of anything else makes no
/// vector anew.
#[must_use]
pub fn modal_key(item: &Item) -> Vec<u8> {
    let text = item.encoder_text();
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
    match &item.image_hash {
        None => hasher.update(&[0]),
        Some(hash) => hasher.update(&[1]).update(hash),
    };
    hasher.finalize().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_texts_and_images_change_the_modal_key() {
        let item = Item {
            item_id: "1".into(),
            title: "Lamp".into(),
            text: "Bright".into(),
            categories: vec!["home".into()],
            created_at: None,
            available: true,
            image_hash: Some([0; 32]),
            features: BTreeMap::from([("price".into(), 5.into())]),
        };
        let key = modal_key(&item);
        let other = Item { categories: vec![], features: BTreeMap::new(), ..item.clone() };
        assert_eq!(modal_key(&other), key);
        assert_ne!(modal_key(&Item { title: "Lamps".into(), ..item.clone() }), key);
        assert_ne!(modal_key(&Item { image_hash: None, ..item.clone() }), key);
        assert_ne!(modal_key(&Item { image_hash: Some([1; 32]), ..item }), key);
    }
}
