//! The version of an item's content.

use plugrank_contract::{FeatureValue, Item, feature::Number, item::ContentHash};

/// Separates these hashes from all others; changes when what is hashed changes.
const DOMAIN: &[u8] = b"plugrank item content 2";

/// BLAKE3 over what encoders and the feature schema read of an item: title, text, categories,
/// features and image hash. Availability and age are not content.
///
/// Every string stands behind its length (u64, little-endian), every list behind its count and every
/// feature value behind a byte for its kind, so no two different items feed the hash the same bytes.
#[must_use]
pub fn content_hash(item: &Item) -> ContentHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    string(&mut hasher, &item.title);
    string(&mut hasher, &item.text);
    count(&mut hasher, item.categories.len());
    for category in &item.categories {
        string(&mut hasher, category);
    }
    count(&mut hasher, item.features.len());
    for (name, value) in &item.features {
        string(&mut hasher, name);
        feature(&mut hasher, value);
    }
    match &item.image_hash {
        None => hasher.update(&[0]),
        Some(hash) => hasher.update(&[1]).update(hash),
    };
    *hasher.finalize().as_bytes()
}

/// BLAKE3 of an image's bytes.
pub(crate) fn image_hash(image: &[u8]) -> [u8; 32] {
    *blake3::hash(image).as_bytes()
}

fn feature(hasher: &mut blake3::Hasher, value: &FeatureValue) {
    match value {
        FeatureValue::Text(text) => {
            hasher.update(b"t");
            string(hasher, text);
        }
        FeatureValue::Number(one) => {
            hasher.update(b"n");
            number(hasher, *one);
        }
        FeatureValue::Texts(texts) => {
            hasher.update(b"T");
            count(hasher, texts.len());
            texts.iter().for_each(|text| string(hasher, text));
        }
        FeatureValue::Numbers(numbers) => {
            hasher.update(b"N");
            count(hasher, numbers.len());
            numbers.iter().for_each(|one| number(hasher, *one));
        }
    }
}

/// Whole numbers by their digits, which an f64 may not hold.
fn number(hasher: &mut blake3::Hasher, number: Number) {
    match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => hasher.update(b"i").update(&whole.to_le_bytes()),
        (None, Some(large)) => hasher.update(b"u").update(&large.to_le_bytes()),
        (None, None) => hasher.update(b"f").update(&number.as_f64().to_le_bytes()),
    };
}

fn string(hasher: &mut blake3::Hasher, text: &str) {
    count(hasher, text.len());
    hasher.update(text.as_bytes());
}

fn count(hasher: &mut blake3::Hasher, count: usize) {
    hasher.update(&(count as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn item() -> Item {
        Item {
            item_id: "1".into(),
            title: "Lamp".into(),
            text: "Gives light".into(),
            categories: vec!["home".into(), "light".into()],
            created_at: Some(1),
            available: true,
            image_hash: None,
            features: BTreeMap::from([("brand".into(), "x".into())]),
        }
    }

    fn branded(brand: FeatureValue) -> Item {
        Item { features: BTreeMap::from([("brand".into(), brand)]), ..item() }
    }

    #[test]
    fn only_content_changes_the_hash() {
        let base = content_hash(&item());
        let same = Item { available: false, created_at: None, item_id: "2".into(), ..item() };
        assert_eq!(content_hash(&same), base);
        let changed = [
            Item { title: "Lamps".into(), ..item() },
            Item { title: "LampG".into(), text: "ives light".into(), ..item() },
            Item { categories: vec!["homelight".into()], ..item() },
            Item { categories: vec!["light".into(), "home".into()], ..item() },
            Item { categories: vec!["home".into()], ..item() },
            Item { features: BTreeMap::from([("bran".into(), "dx".into())]), ..item() },
            Item { features: BTreeMap::new(), ..item() },
            branded(FeatureValue::from(1)),
            branded("1".into()),
            branded(FeatureValue::from(Number::new(1.5).unwrap())),
            branded(FeatureValue::from(Number::from(u64::MAX))),
            branded(FeatureValue::Numbers([1_i64.into()].into())),
            branded(FeatureValue::Texts(["1".into()].into())),
            Item { image_hash: Some([0; 32]), ..item() },
            Item { image_hash: Some([1; 32]), ..item() },
        ];
        let mut hashes: Vec<_> = changed.iter().map(content_hash).collect();
        hashes.push(base);
        let distinct: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }

    #[test]
    fn adjacent_lists_hash_differently() {
        // The same strings, moved over the border between categories and features.
        let a =
            Item { categories: vec!["a".into(), "b".into()], features: BTreeMap::new(), ..item() };
        let b = Item {
            categories: vec![],
            features: BTreeMap::from([("a".into(), "b".into())]),
            ..item()
        };
        assert_ne!(content_hash(&a), content_hash(&b));
    }

    #[test]
    fn the_content_hash_is_unchanged() {
        // Cached vectors and stored items carry it: a change must be deliberate, and change DOMAIN.
        let hex: String = content_hash(&item()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "f86faa9b3d07e7c4269e2cc10a1fb24d975f48bedef32ef19a44ea049980cc9c");
    }
}
