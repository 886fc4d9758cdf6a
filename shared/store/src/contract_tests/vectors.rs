//! Cached vectors, by key and in the order of keys.

use crate::VectorSpace;

use super::AnyStore;

pub async fn vector_spaces_never_mix(store: AnyStore) {
    let spaces = [
        VectorSpace::Modal("1".into()),
        VectorSpace::Record("1".into()),
        VectorSpace::Modal("11".into()),
        VectorSpace::Modal("".into()),
    ];
    let key = |bytes: &[u8]| bytes.to_vec();
    for (number, space) in spaces.iter().enumerate() {
        let vector = vec![number as u8, 0, 255];
        store.put_vectors(space, vec![(key(b"1k"), vector), (key(b""), vec![])]).await.unwrap();
    }
    for (number, space) in spaces.iter().enumerate() {
        let keys = [key(b"1k"), key(b"k"), key(b"")];
        let found = store.vectors(space, &keys).await.unwrap();
        assert_eq!(found, [Some(vec![number as u8, 0, 255]), None, Some(vec![])]);
    }
    let unknown = VectorSpace::Record("2".into());
    assert_eq!(store.vectors(&unknown, &[key(b"1k")]).await.unwrap(), [None]);
    store.put_vectors(&spaces[0], vec![(key(b"1k"), vec![7])]).await.unwrap();
    assert_eq!(store.vectors(&spaces[0], &[key(b"1k")]).await.unwrap(), [Some(vec![7])]);
}

pub async fn vectors_are_scanned_in_the_order_of_keys(store: AnyStore) {
    let (space, other) = (VectorSpace::Record("1".into()), VectorSpace::Record("11".into()));
    let Some(empty) = store.scan_vectors(&space, b"", None, 5).await.unwrap() else {
        assert_eq!(store.scan_vectors(&other, b"", None, 5).await.unwrap(), None);
        return;
    };
    assert_eq!((empty.len(), empty.next), (0, None), "nothing was written to the space");
    let keys: [&[u8]; 6] = [b"b", b"", b"a\xff", b"a", b"c", b"aa"];
    let entries = keys.iter().map(|key| (key.to_vec(), [key, &b"!"[..]].concat())).collect();
    store.put_vectors(&space, entries).await.unwrap();
    store.put_vectors(&other, vec![(b"ab".to_vec(), vec![1])]).await.unwrap();
    let sorted: [&[u8]; 6] = [b"", b"a", b"aa", b"a\xff", b"b", b"c"];
    // From which key, up to which one, and what of `sorted` that is.
    let parts = [
        ("", None, 0..6),
        ("a", Some("b"), 1..4),
        ("ab", None, 3..6),
        ("a", Some("a"), 0..0),
        ("b", Some("a"), 0..0),
        ("d", None, 0..0),
    ];
    for limit in [1, 2, 100] {
        for (from, to, part) in parts.clone() {
            let to = to.map(str::as_bytes);
            let (mut found, mut next) = (Vec::new(), Some(from.as_bytes().to_vec()));
            while let Some(from) = next {
                let page = store.scan_vectors(&space, &from, to, limit).await.unwrap().unwrap();
                assert!(page.len() <= limit && (page.next.is_none() || page.len() == limit));
                for (key, vector) in page.iter() {
                    assert_eq!(vector, [key, b"!"].concat());
                    found.push(key.to_vec());
                }
                next = page.next;
            }
            assert_eq!(found, sorted[part], "from {from:?} to {to:?}, {limit} at a time");
        }
    }
}
