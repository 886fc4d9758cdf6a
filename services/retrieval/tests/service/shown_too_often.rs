//! Items shown too often without a click, counted over all processes of a store.

use plugrank_contract::{Event, EventType, retrieval::Retrieve};
use plugrank_retrieval::options::{ShownTooOftenOptions, SurfaceCandidates};

use crate::shop::{Shop, dropped, ids, item, request, retrieve};

fn shown(user: &str, id: &str, at: i64) -> Event {
    Event {
        event_id: format!("{id}-{at}"),
        event_type: EventType::impression(),
        user_id: user.into(),
        item_id: id.into(),
        value: None,
        request_id: Some(format!("r{at}")),
        position: Some(1),
        surface: None,
        timestamp: at,
    }
}

fn after(impressions: u32) -> ShownTooOftenOptions {
    ShownTooOftenOptions { impressions, ..ShownTooOftenOptions::default() }
}

#[tokio::test]
async fn processes_of_a_store_share_impression_counts_and_surfaces_set_their_limit() {
    let mut shop = Shop::new();
    for n in 0..6 {
        shop.put(item(&format!("i{n}"), &["x"], Some(n))).await;
    }
    shop.options.shown_too_often = after(3);
    let surface = |often| SurfaceCandidates { shown_too_often: often, ..Default::default() };
    let surfaces = [
        ("as_ever", surface(None)),
        ("strict", surface(Some(after(2)))),
        ("off", surface(Some(after(0)))),
    ];
    shop.options.surfaces = surfaces.map(|(name, of)| (name.to_owned(), of)).into();
    let services = [shop.build().await.unwrap(), shop.build().await.unwrap()];
    let call = |surface: &str| Retrieve { surface: surface.into(), ..request("u", 10) };
    let first = retrieve(&services[1], call("")).await;
    assert!(ids(&first).contains(&"i1"), "nothing was shown yet");

    // Two impressions through one process, the third through the other; retrieval gets no notice.
    shop.store.append_events(vec![shown("u", "i1", 100), shown("u", "i1", 200)]).await.unwrap();
    for service in &services {
        assert!(ids(&retrieve(service, call("")).await).contains(&"i1"));
        assert!(!ids(&retrieve(service, call("strict")).await).contains(&"i1"));
    }
    shop.store.append_events(vec![shown("u", "i1", 300), shown("u", "i2", 300)]).await.unwrap();
    for service in &services {
        for (surface, there) in [("", false), ("as_ever", false), ("strict", false), ("off", true)]
        {
            let found = retrieve(service, call(surface)).await;
            assert_eq!(ids(&found).contains(&"i1"), there, "{surface:?}");
            assert!(ids(&found).contains(&"i2"), "{surface:?}");
        }
    }
    // The newest is named by the sources, which say what happened to it.
    let often = [400, 500, 600].map(|at| shown("u", "i5", at));
    shop.store.append_events(often.to_vec()).await.unwrap();
    let found = retrieve(&services[0], call("")).await;
    assert!(dropped(&found).contains(&("i5", "shown_too_often")), "{:?}", dropped(&found));
    let another = retrieve(&services[0], request("v", 10)).await;
    assert!(ids(&another).contains(&"i1"), "other users are not affected");
}
