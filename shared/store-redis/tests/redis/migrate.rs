//! Migration of a namespace of the earlier version (schema 3).

use plugrank_store::{
    codec,
    contract_tests::{
        migration::{self, HALF_LIFE},
        run,
    },
    keys,
    schema3::{LoggedEvent, LoggedType},
};
use plugrank_store_redis::{RedisConnection, RedisOptions, RedisStore};
use redis::{Script, cmd};

use crate::server::RedisServer;

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

/// Everything that this version wrote under the name of the version before.
async fn write(servers: &RedisConnection, to: &mut redis::aio::MultiplexedConnection) {
    let store = RedisStore::connect(servers, RedisOptions::default()).await.unwrap();
    migration::fill(&store).await;
    for event in migration::events() {
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
fn a_namespace_of_schema_3_is_migrated_to_another() {
    let server = RedisServer::start();
    run(async {
        let servers = server.servers();
        let url = format!("redis://127.0.0.1:{}/0", server.port());
        let client = redis::Client::open(url).unwrap();
        let mut raw = client.get_multiplexed_async_connection().await.unwrap();
        write(&servers, &mut raw).await;

        let refused = RedisStore::connect(&servers, RedisOptions::default()).await.unwrap_err();
        assert!(refused.to_string().contains("plugrank store migrate"), "{refused}");
        let options = RedisOptions { popularity_half_life: HALF_LIFE, ..RedisOptions::default() };
        let done = RedisStore::migrate(&servers, options.clone(), "shop").await.unwrap();
        assert_eq!((done.items, done.users, done.events), (2, 1, 4));
        // Once more changes nothing.
        assert_eq!(RedisStore::migrate(&servers, options.clone(), "shop").await.unwrap(), done);
        let options = RedisOptions { namespace: "shop".to_owned(), ..options };
        let again = RedisStore::migrate(&servers, options.clone(), "other").await.unwrap_err();
        assert!(again.to_string().contains("no store of the version before"), "{again}");

        let store = RedisStore::connect(&servers, options).await.unwrap();
        migration::goes_on(&store, [(8, 2), (105, 12)]).await;
    });
}
