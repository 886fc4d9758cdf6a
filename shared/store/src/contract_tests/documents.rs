//! Documents that processes share.

use futures::future::join_all;

use super::AnyStore;
use crate::Document;

pub async fn documents_are_replaced_by_compare_and_swap(store: AnyStore) {
    assert_eq!(store.document("a").await.unwrap(), None);
    assert_eq!(store.put_document("a", b"one".to_vec(), 1).await.unwrap(), None);
    assert_eq!(store.put_document("a", b"one".to_vec(), 0).await.unwrap(), Some(1));
    assert_eq!(store.put_document("a", b"other".to_vec(), 0).await.unwrap(), None);
    assert_eq!(store.put_document("a", Vec::new(), 1).await.unwrap(), Some(2));
    assert_eq!(store.put_document("b", b"\0\xff".to_vec(), 0).await.unwrap(), Some(1));
    let document = |bytes: &[u8], revision| Some(Document { bytes: bytes.to_vec(), revision });
    assert_eq!(store.document("a").await.unwrap(), document(b"", 2));
    assert_eq!(store.document("b").await.unwrap(), document(b"\0\xff", 1));
}

pub async fn one_of_many_concurrent_document_writers_wins(store: AnyStore) {
    let writes = (0..16_u8).map(|writer| store.put_document("d", vec![writer], 0));
    let written = join_all(writes).await.into_iter().map(Result::unwrap);
    let first: Vec<u8> =
        (0..).zip(written).filter_map(|(writer, revision)| revision.map(|_| writer)).collect();
    let document = store.document("d").await.unwrap().unwrap();
    assert_eq!((first, document.revision), (document.bytes, 1));
}
