//! An item's modal vector, and how the store keeps it.

use plugrank_bundle::manifest::Modal;

/// What the text and image encoders make of an item's content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModalVector {
    /// Whether the item has each part, in the order text, image, of those the bundle has.
    pub(crate) present: Vec<bool>,
    /// Text part, then image part; zeros where absent.
    pub(crate) values: Vec<f32>,
}

impl ModalVector {
    /// Of an item that has no part.
    pub(crate) fn absent(modal: &Modal) -> Self {
        Self { present: vec![false; modal.parts()], values: vec![0.0; modal.dim] }
    }

    /// A byte 0 or 1 a part, then the values, f32 little-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let flags = self.present.iter().map(|present| u8::from(*present));
        flags.chain(self.values.iter().flat_map(|value| value.to_le_bytes())).collect()
    }

    /// `None` when the bytes are not a vector of this bundle.
    pub(crate) fn from_bytes(modal: &Modal, bytes: &[u8]) -> Option<Self> {
        let (flags, values) = bytes.split_at_checked(modal.parts())?;
        if values.len() != modal.dim * 4 || flags.iter().any(|flag| *flag > 1) {
            return None;
        }
        Some(Self {
            present: flags.iter().map(|flag| *flag == 1).collect(),
            values: values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modal_vectors_round_trip_and_other_bytes_are_refused() {
        let modal: Modal = Modal { dim: 3, text: None, image: None };
        let vector = ModalVector { present: Vec::new(), values: vec![1.0, -2.0, 0.5] };
        let bytes = vector.to_bytes();
        assert_eq!(ModalVector::from_bytes(&modal, &bytes), Some(vector));
        assert_eq!(ModalVector::from_bytes(&modal, &bytes[1..]), None);
        assert_eq!(ModalVector::from_bytes(&modal, &[]), None);
    }
}
