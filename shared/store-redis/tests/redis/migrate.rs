//! A namespace of the version before this one (schema 3) is brought to this one.

use std::time::Duration;

use plugrank_contract::{EventType, HistoryEntry, ItemId, User, UserId};
use plugrank_store::{
    NewItem, Store, TimeRange, codec,
    contract_tests::{fixtures::new_item, run},
    keys,
    schema3::{LoggedEvent, LoggedType},
};
use plugrank_store_redis::{RedisOptions, RedisServers, RedisStore};
use redis::{Script, cmd};

use crate::server::RedisServer;

const DAY: i64 = 86_400_000;

/// The script by which that version wrote events, as it was.
const APPEND_EVENTS: &str = r"
local memory, recount = ARGV[1], tonumber(ARGV[2])
local clicks_key, shown_key = KEYS[1], KEYS[2]
local reply = {}
for n = 1, (#KEYS - 2) / 2 do
    local a = 2 + (n - 1) * 5
    local event_key, exposure_key = KEYS[n * 2 + 1], KEYS[n * 2 + 2]
    local event, kind, item, entry = ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 5]
    local has_request = ARGV[a + 3] == '1'
    local before = redis.call('GET', event_key)
    local fresh, counts = 0, '-'
    if before then
        local same = string.sub(before, 2) == event
        if same and redis.call('TTL', event_key) > tonumber(memory) - recount then
            counts = string.sub(before, 1, 1)
        end
    else
        fresh = 1
        local known = has_request and redis.call('HGET', exposure_key, item)
        if not known then
            counts = kind == 'c' and 'b' or 'i'
        elseif kind == 'c' and known ~= 'c' then
            counts = 'c'
        end
        redis.call('SET', event_key, counts .. event, 'EX', memory)
        if counts ~= '-' then
            if known then
                redis.call('ZREM', shown_key, string.sub(known, 2))
            end
            if kind == 'c' then
                redis.call('ZREM', shown_key, entry)
                redis.call('ZADD', clicks_key, 0, entry)
            elseif not redis.call('ZSCORE', clicks_key, entry) then
                redis.call('ZADD', shown_key, 0, entry)
            end
            if has_request then
                redis.call('HSET', exposure_key, item, kind == 'c' and 'c' or ('s' .. entry))
                redis.call('EXPIRE', exposure_key, memory)
            end
        end
    end
    reply[n * 2 - 1], reply[n * 2] = fresh, counts
end
return reply
";

/// Appends an event as that version did.
async fn append(to: &mut redis::aio::MultiplexedConnection, event: &LoggedEvent) {
    let (user, request) = (&event.user_id, event.request_id.as_deref());
    let length = user.as_str().len();
    let event_key = format!("plugrank:event{length}:{{u:{user}}}{}", event.event_id);
    let exposure = match request {
        Some(request) => format!("plugrank:exposure{length}:{{u:{user}}}{request}"),
        None => event_key.clone(),
    };
    let mut entry = Vec::new();
    keys::push_entry(&mut entry, event.timestamp, &event.item_id);
    let click = event.event_type == LoggedType::Click;
    let script = Script::new(APPEND_EVENTS);
    let mut call = script.prepare_invoke();
    call.key(format!("plugrank:clicks:{{u:{user}}}")).key(format!("plugrank:shown:{{u:{user}}}"));
    call.key(event_key).key(exposure);
    call.arg(30 * 86_400).arg(43_200).arg(codec::encode(event)).arg(if click { "c" } else { "s" });
    call.arg(if request.is_some() { "1" } else { "" }).arg(event.item_id.as_str()).arg(entry);
    let _: redis::Value = call.invoke_async(to).await.unwrap();
}

fn logged(id: &str, user: &str, item: &str, click: bool, at: i64) -> LoggedEvent {
    LoggedEvent {
        event_id: id.to_owned(),
        event_type: if click { LoggedType::Click } else { LoggedType::Impression },
        user_id: user.into(),
        item_id: item.into(),
        request_id: Some("r".to_owned()),
        position: Some(4),
        timestamp: at,
    }
}

fn entry(item: &str, clicked: bool, timestamp: i64) -> HistoryEntry {
    HistoryEntry::new(item.into(), clicked, timestamp)
}

fn told(action: &str, entry: HistoryEntry) -> HistoryEntry {
    HistoryEntry { action: Some(action.into()), ..entry }
}

async fn history(store: &RedisStore, user: &str) -> Vec<HistoryEntry> {
    store.history(&UserId::from(user), i64::MAX, 99, 99).await.unwrap().entries
}

/// Everything that this version wrote under the name of the version before.
async fn write(servers: &RedisServers, to: &mut redis::aio::MultiplexedConnection) {
    let store = RedisStore::connect(servers, RedisOptions::default()).await.unwrap();
    let image = Some(b"picture".to_vec());
    store.put_items(vec![NewItem { image, ..new_item("1") }, new_item("2")]).await.unwrap();
    store
        .put_users(vec![User { user_id: "u".into(), features: Default::default() }])
        .await
        .unwrap();
    let loaded =
        [("u", entry("1", true, 0)), ("u", entry("2", false, 5)), ("v", entry("1", true, DAY))];
    let loaded = loaded.map(|(user, entry)| (UserId::from(user), entry));
    store.put_history(loaded.to_vec()).await.unwrap();
    store.put_neighbours(vec![("1".into(), vec![("2".into(), 0.5)])]).await.unwrap();
    store.put_document("rules", b"{}".to_vec(), 0).await.unwrap();
    for event in [
        logged("e1", "u", "2", false, 10 * DAY),
        logged("e2", "u", "2", true, 11 * DAY),
        logged("e3", "w", "1", false, 12 * DAY),
        LoggedEvent { request_id: None, position: None, ..logged("e4", "w", "2", true, 13 * DAY) },
    ] {
        append(to, &event).await;
    }
    // More of item 2 than of the events that are still there: the servers forgot the others.
    let keys: Vec<String> = cmd("KEYS").arg("plugrank:near:*").query_async(to).await.unwrap();
    let [near] = &keys[..] else { panic!("{keys:?}") };
    let of_1 = near.replace(":near:", ":stats:");
    for (key, counts) in [(of_1, [("ln", 7), ("lc", 2), ("n", 1), ("c", 0)])] {
        let _: () = cmd("HSET").arg(key).arg(&counts).query_async(to).await.unwrap();
    }
    let items: Vec<String> = cmd("KEYS").arg("plugrank:item:*}2").query_async(to).await.unwrap();
    let of_2 = items[0].replace(":item:", ":stats:");
    let counts = [("ln", 3), ("n", 102), ("c", 12)];
    let _: () = cmd("HSET").arg(of_2).arg(&counts).query_async(to).await.unwrap();
    let _: () = cmd("SET").arg("plugrank:schema:").arg(3).query_async(to).await.unwrap();
}

#[test]
fn a_namespace_of_the_version_before_goes_on_in_another() {
    let server = RedisServer::start();
    run(async {
        let servers = server.servers();
        let url = format!("redis://127.0.0.1:{}/0", server.port());
        let client = redis::Client::open(url).unwrap();
        let mut raw = client.get_multiplexed_async_connection().await.unwrap();
        write(&servers, &mut raw).await;

        let refused = RedisStore::connect(&servers, RedisOptions::default()).await.unwrap_err();
        assert!(refused.to_string().contains("plugrank store migrate"), "{refused}");
        let half_life = Duration::from_secs(30 * 86_400);
        let options = RedisOptions { popularity_half_life: half_life, ..RedisOptions::default() };
        let done = RedisStore::migrate(&servers, options.clone(), "shop").await.unwrap();
        assert_eq!((done.items, done.users, done.events), (2, 1, 4));
        // Once more changes nothing.
        assert_eq!(RedisStore::migrate(&servers, options.clone(), "shop").await.unwrap(), done);
        let options = RedisOptions { namespace: "shop".to_owned(), ..options };
        let again = RedisStore::migrate(&servers, options.clone(), "other").await.unwrap_err();
        assert!(again.to_string().contains("no store of the version before"), "{again}");

        let store = RedisStore::connect(&servers, options).await.unwrap();
        let ids = ["1", "2"].map(ItemId::from);
        assert_eq!(store.item_count().await.unwrap(), 2);
        assert_eq!(store.images(&ids).await.unwrap(), [Some(b"picture".to_vec()), None]);
        assert!(store.user(&"u".into()).await.unwrap().is_some());
        let newest = HistoryEntry { action: Some("click".into()), ..entry("2", true, 11 * DAY) };
        assert_eq!(history(&store, "u").await, [newest, entry("2", false, 5), entry("1", true, 0)]);
        assert_eq!(
            history(&store, "w").await,
            [
                told("click", entry("2", true, 13 * DAY)),
                told("impression", entry("1", false, 12 * DAY)),
            ]
        );
        assert_eq!(store.neighbours(&ids[..1]).await.unwrap(), [[("2".into(), 0.5)]]);
        assert_eq!(store.document("rules").await.unwrap().unwrap().bytes, b"{}");
        let found = store.item_stats(&ids).await.unwrap();
        let counts: Vec<_> = found.iter().map(|one| (one.impressions, one.clicks)).collect();
        assert_eq!(counts, [(8, 2), (105, 12)]);
        let left = |days: f64| (-days / 30.0).exp2();
        for (one, value) in found.iter().zip([1.0 + left(1.0), 1.0 + left(2.0)]) {
            assert!((one.popularity.value - value).abs() < 1e-9, "{:?}", one.popularity);
        }
        let (mut events, mut from) = (Vec::new(), None);
        loop {
            let page = store.scan_events(TimeRange::ALL, from, 99).await.unwrap();
            events.extend(page.entries);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        events.sort_by_key(|event| event.timestamp);
        assert_eq!(events.len(), 4);
        assert_eq!(events[1].event_type, EventType::click());
        assert_eq!((events[1].position, events[3].position), (Some(5), None));
        // What was known goes on being known: repeats, and what a late click is of.
        let mut late = events[1].clone();
        (late.event_id, late.item_id, late.user_id) = ("e5".into(), "1".into(), "w".into());
        late.timestamp = 14 * DAY;
        let appended = store.append_events(vec![events[1].clone(), late]).await.unwrap();
        assert_eq!(appended, [false, true]);
        assert_eq!(
            history(&store, "w").await,
            [told("click", entry("1", true, 14 * DAY)), told("click", entry("2", true, 13 * DAY))]
        );
        let found = store.item_stats(&ids[..1]).await.unwrap();
        assert_eq!((found[0].impressions, found[0].clicks), (8, 3));
    });
}
