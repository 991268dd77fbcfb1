//! What a panic over a value says of the secrets that went into it: nothing. A
//! panic's message goes where no code of ours looks at it: to standard error, a
//! log, a service that collects crashes.
//!
//! Invariant 6. Each is a real panic, by the ways in which programs trip, heard
//! by a hook. That it would be noticed is shown by a twin that shows itself.
//! Of the engine's types `shown.rs` has the whole list, and panics over each.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

use std::fmt::{Debug, Display};
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use engine::{
    Clock, Engine, KeyDigest, KeyPolicy, Prefix, Request, SecretKey, ServerSecret, SessionRecord,
    SessionToken,
};
use engine_hyper::{
    AuthLayer, ForwardedHeader, PathPattern, PeerAddr, RequestFacts, RouteNeeds, RoutePolicy,
    RouteRule,
};
use http::{HeaderMap, HeaderValue, Method};
use rusqlite::Connection;
use store::{
    Actor, AuditQuery, Changes, Cursor, FollowError, Follower, Following, Idempotent, KeyQuery,
    Label, Scope, SessionChange, SessionId, SessionQuery, Store, StoreError, StoredKey,
    StoredSession, StoredToken, read_secret_file,
};
use tests::canaries::Canaries;
use tests::panics::{heard, over, over_two};
use tests::public_types::public_types;

const NOW: u64 = 1_790_000_000;

/// The store's types into which no text and no secret goes, but numbers and
/// words of ours.
const NUMBERS_OF_STORE: [&str; 16] = [
    "Actor", // An id, or the name of a user of the machine.
    "AuditQuery",
    "CatchUpError",
    "Exempt",
    "Health",
    "KeyCounts",
    "KeyFilter",
    "Project",
    "ProjectPage",
    "SessionQuery",
    "SessionState",
    "StateFilter",
    "Usage",
    "UsagePage",
    "UsageQuery",
    "UsageRow",
];
/// What else of the store's shows none: the errors have no text, and a source
/// of usage no `Debug`.
const WORDLESS_OF_STORE: [&str; 4] = ["CursorError", "ScopeError", "SessionIdError", "UsageSource"];

/// Of `engine-hyper`, those that have no `Debug`: they hold what a client sent.
const SILENT_OF_HYPER: [&str; 3] = ["AuthFuture", "Checked", "RequestFacts"];
/// The body of an answer, which is the service's own, or a problem.
const BODIES_OF_HYPER: [&str; 1] = ["AuthBody"];

/// Secrets, and what is looked for of them.
struct Secrets {
    server: ServerSecret,
    prefix: Prefix,
    key: SecretKey,
    token: SessionToken,
    admin: SecretKey,
    canaries: Canaries,
}

impl Secrets {
    fn new() -> Self {
        let prefix: Prefix = "tk_live".parse().unwrap();
        let server = ServerSecret::generate().unwrap();
        let key = SecretKey::generate(&prefix).unwrap();
        let token = SessionToken::generate().unwrap();
        let admin = SecretKey::generate(&"tk_admin".parse().unwrap()).unwrap();
        let mut canaries = Canaries::of_short_pieces();
        canaries.add("the server secret", server.expose());
        canaries.key("the key", key.expose(), Some(&server));
        canaries.key("the admin token", admin.expose(), Some(&server));
        canaries.token("the token", token.expose(), Some(&server));
        Self {
            server,
            prefix,
            key,
            token,
            admin,
            canaries,
        }
    }

    fn key_digest(&self) -> KeyDigest {
        self.server.digest_key(self.key.expose().as_bytes())
    }

    fn stored_key(&self) -> StoredKey {
        let policy = KeyPolicy::new("p".parse().unwrap());
        let label = Label::default();
        StoredKey::of(&self.key, &self.server, self.prefix, policy, label, NOW)
    }

    fn stored_session(&self) -> StoredSession {
        let session = SessionRecord {
            project: "p".parse().unwrap(),
            user: "u".parse().unwrap(),
            expires_at: None,
        };
        StoredSession::of(&self.token, &self.server, session, NOW)
    }

    fn stored_token(&self) -> StoredToken {
        let label = Label::default();
        StoredToken::of(&self.admin, &self.server, label, Scope::Read, None, NOW)
    }

    /// Everything that could be given where something else was meant.
    fn texts(&self) -> [String; 4] {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [
            self.key.expose().into(),
            self.token.expose().into(),
            self.admin.expose().into(),
            hex(self.server.expose()),
        ]
    }
}

/// What was tripped over, and what may not be found in that.
struct Tripped<'s> {
    secrets: &'s Secrets,
    seen: Vec<&'static str>,
}

impl<'s> Tripped<'s> {
    fn new(secrets: &'s Secrets) -> Self {
        Self {
            secrets,
            seen: Vec::new(),
        }
    }

    fn said(&mut self, name: &'static str, said: &str) {
        let found = self.secrets.canaries.found_in_shown(said);
        assert_eq!(found, None, "{name} shows it: {said}");
        self.seen.push(name);
    }

    fn over(&mut self, name: &'static str, value: &dyn Debug) {
        self.said(name, &over(value));
    }

    fn over_two<T: Debug + PartialEq>(&mut self, name: &'static str, one: &T, other: &T) {
        self.over(name, one);
        self.said(name, &over_two(one, other));
    }

    fn over_error<E: Debug + Display>(&mut self, name: &'static str, error: &E) {
        self.over(name, error);
        self.said(name, &heard(|| panic!("{error}")).concat());
    }

    /// Fails if a public type of a crate was not thought of.
    fn all_of(&self, lib: &str, besides: &[&[&str]]) {
        let names = public_types(lib);
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            let seen = self.seen.contains(&&*name) || besides.concat().contains(&&*name);
            assert!(seen, "what do panics over {name} say?");
        }
    }
}

/// What must not be: it shows what it holds.
#[derive(Debug, PartialEq)]
struct Leaky {
    key: String,
    digest: [u8; 32],
}

#[test]
fn a_twin_that_shows_itself_is_caught() {
    let secrets = Secrets::new();
    let found = |said: &str| secrets.canaries.found_in_shown(said).map(str::to_owned);
    let digest = *secrets.key_digest().as_bytes();
    let key = secrets.key.expose();
    let leaky = |key: &str, digest| Leaky {
        key: key.into(),
        digest,
    };
    assert!(found(&over(&leaky(key, digest))).is_some());
    let with_key = leaky(key, [0; 32]);
    let with_digest = leaky("", digest);
    let by_key = Some("the key (plain)".to_owned());
    let by_digest = Some("the digest of the key (numbers)".to_owned());
    assert_eq!(found(&over(&with_key)), by_key);
    assert_eq!(found(&over(&with_digest)), by_digest);
    let two = over_two(&with_digest, &leaky("", [0; 32]));
    assert_eq!(found(&two), by_digest);
    // Each way tells it by itself, and a piece is enough.
    let shared = Arc::new(with_key);
    for way in [
        heard(|| OnceLock::from(key).set(key).unwrap()),
        heard(|| assert!(<[&str; 1]>::try_from(vec![key, key]).unwrap().is_empty())),
        heard(|| drop(Arc::try_unwrap(Arc::clone(&shared)).unwrap())),
        heard(|| panic!("{:?}", &key[20..28])),
    ] {
        assert_eq!(found(&way.concat()), by_key, "{way:?}");
    }
    for public in [
        &key[..18],
        &key[20..27],
        secrets.key.id().to_string().as_str(),
    ] {
        assert_eq!(found(&over(&public)), None, "{public}");
    }
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let by_hex = Some("the digest of the key (hex)".to_owned());
    assert_eq!(found(&over(&&hex[10..20])), by_hex);
}

/// `OnceLock::set`, `Arc::try_unwrap`, `try_into` and a poisoned lock hand back
/// what they were given, and `unwrap` shows that.
#[test]
fn the_engines_secrets_are_not_in_what_hands_them_back() {
    let secrets = Secrets::new();
    let other = Secrets::new();
    let mut tripped = Tripped::new(&secrets);
    let set_twice = |name, said: Vec<String>, tripped: &mut Tripped<'_>| {
        assert_eq!(said.len(), 1, "{name}: {said:?}");
        tripped.said(name, &said.concat());
    };
    let (key, token, server) = (&secrets.key, &secrets.token, &secrets.server);
    let said = heard(|| OnceLock::from(key.clone()).set(key.clone()).unwrap());
    set_twice("SecretKey", said, &mut tripped);
    let said = heard(|| OnceLock::from(token.clone()).set(token.clone()).unwrap());
    set_twice("SessionToken", said, &mut tripped);
    let said = heard(|| OnceLock::from(server.clone()).set(server.clone()).unwrap());
    set_twice("ServerSecret", said, &mut tripped);

    let said = heard(|| {
        let keys = vec![key.clone(), key.clone()];
        let _: [SecretKey; 1] = keys.try_into().unwrap();
    });
    set_twice("SecretKey", said, &mut tripped);
    let said = heard(|| {
        let kept = Mutex::new(secrets.server.clone());
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _held = kept.lock();
            panic!("while it is held");
        }));
        drop(kept.into_inner().unwrap());
    });
    tripped.said("ServerSecret", &said.concat());

    let engine = Engine::builder(server.clone()).clock(Clock::manual(NOW));
    tripped.over("EngineBuilder", &engine);
    let engine = Arc::new(engine.build().unwrap());
    let stored = secrets.stored_key();
    engine.insert_keys(vec![stored.record.clone()]).unwrap();
    let kept = Arc::clone(&engine);
    let said = heard(|| drop(Arc::try_unwrap(engine).unwrap()));
    set_twice("Engine", said, &mut tripped);
    let again = kept.insert_keys(vec![stored.record.clone(), stored.record]);
    tripped.over_error("KeyChangeError", &again.unwrap_err());

    tripped.over_two("KeyDigest", &secrets.key_digest(), &other.key_digest());
    let digest = |secrets: &Secrets| secrets.stored_session().token;
    tripped.over_two("TokenDigest", &digest(&secrets), &digest(&other));
    let sent = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    tripped.over("Decision", &kept.decide(&sent));
    for text in secrets.texts() {
        let wrong = format!("{text}!");
        tripped.over_error("KeyFormError", &wrong.parse::<SecretKey>().unwrap_err());
        let id = text.parse::<engine::KeyId>();
        tripped.over_error("KeyIdError", &id.unwrap_err());
    }
}

#[test]
fn no_panic_over_the_stores_types_shows_a_secret() {
    let (secrets, other) = (Secrets::new(), Secrets::new());
    let mut tripped = Tripped::new(&secrets);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let mut store = Store::create(&path, &secrets.server).unwrap();
    let (key, session) = (secrets.stored_key(), secrets.stored_session());
    let token = secrets.stored_token();
    tripped.over("StoredKey", &key);
    tripped.over("StoredSession", &session);
    tripped.over("StoredToken", &token);
    tripped.over_two("SessionId", &session.id, &other.stored_session().id);
    tripped.over("Scope", &token.scope);
    tripped.over("Label", &key.label);

    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    writer.add_key(&key).unwrap();
    writer.add_session(&session).unwrap();
    writer.add_token(&token).unwrap();
    tripped.over("Writer", &writer);
    // What is there already, by its id and by its digest.
    tripped.over_error("StoreError", &writer.add_key(&key).unwrap_err());
    let mut twin = other.stored_key();
    twin.record.digest = key.record.digest;
    tripped.over_error("StoreError", &writer.add_key(&twin).unwrap_err());
    tripped.over_error("StoreError", &writer.add_session(&session).unwrap_err());
    tripped.over_error("StoreError", &writer.add_token(&token).unwrap_err());
    let stranger = other.stored_session();
    let ended = writer.end_session_of(&stranger.token);
    tripped.over_error("StoreError", &ended.unwrap_err());
    // Of a nonce a secret is made.
    let digest = secrets.key_digest();
    let (of_key, of_request) = (digest.as_bytes(), secrets.server.expose());
    let fresh = writer.idempotent(token.id, of_key, of_request).unwrap();
    let Idempotent::Fresh { nonce } = &fresh else {
        panic!("a new request: {fresh:?}");
    };
    let mut of_nonce = Canaries::of_short_pieces();
    of_nonce.add("the nonce", nonce);
    let replay = writer.idempotent(token.id, of_key, of_request).unwrap();
    for said in [over(&fresh), over(&replay), over_two(&fresh, &replay)] {
        assert_eq!(of_nonce.found_in_shown(&said), None, "{said}");
    }
    tripped.over_two("Idempotent", &fresh, &replay);
    writer.commit().unwrap();
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    for secrets in [&other, &Secrets::new()] {
        writer.add_key(&secrets.stored_key()).unwrap();
        writer.add_session(&secrets.stored_session()).unwrap();
    }
    writer.commit().unwrap();

    tripped.over("Store", &store);
    tripped.over("Staging", &store.stage().unwrap());
    let whole = secrets.key.expose();
    let search = KeyQuery {
        search: Some(whole),
        limit: 1,
        ..KeyQuery::default()
    };
    tripped.over("KeyQuery", &search);
    let all = KeyQuery {
        search: None,
        ..search
    };
    for page in [&search, &all].map(|query| store.key_page(query).unwrap()) {
        tripped.over("KeyPage", &page);
        page.keys
            .iter()
            .for_each(|key| tripped.over("ListedKey", key));
    }
    let sessions = SessionQuery {
        limit: 2,
        ..SessionQuery::default()
    };
    let page = store.session_page(&sessions).unwrap();
    let next = page.next.as_ref().expect("three sessions are two pages");
    tripped.over("SessionPage", &page);
    tripped.over("Cursor", next);
    let wrong = KeyQuery {
        after: Some(next),
        ..all
    };
    tripped.over_error("StoreError", &store.key_page(&wrong).unwrap_err());
    let audit = AuditQuery {
        limit: 100,
        ..AuditQuery::default()
    };
    let audit = store.audit(&audit).unwrap();
    tripped.over("AuditPage", &audit);
    let entries = audit.entries.iter();
    entries.for_each(|entry| tripped.over("AuditEntry", entry));
    assert!(audit.entries.len() >= 3);

    let mut follower = Follower::open(&path, &secrets.server).unwrap();
    tripped.over("Follower", &follower);
    let mut brought = Vec::new();
    let polled = follower.poll(|changes: Changes| {
        brought.push(changes);
        Ok::<_, StoreError>(())
    });
    assert!(polled.unwrap());
    for changes in &brought {
        tripped.over("Changes", changes);
    }
    let put = brought.iter().flat_map(|changes| &changes.sessions);
    put.for_each(|(_, change)| tripped.over("SessionChange", change));
    tripped.over("SessionChange", &SessionChange::End);

    // An engine that has no room for a key.
    let engine = Engine::builder(secrets.server.clone()).max_keys(1);
    let engine = Arc::new(engine.build().unwrap());
    let mut follower = Follower::open(&path, &secrets.server).unwrap();
    let full: FollowError = follower.load(&engine).unwrap_err();
    tripped.over_error("FollowError", &full);
    tripped.over("FollowEvent", &store::FollowEvent::Trouble(&full));
    let follower = Follower::open(&path, &secrets.server).unwrap();
    let following = Following::start(follower, Arc::clone(&engine), |_| {}).unwrap();
    tripped.over("Following", &following);
    drop(following);

    tripped.over_error(
        "StoreError",
        &Store::open(&path, &other.server).unwrap_err(),
    );
    for text in secrets.texts() {
        tripped.over_error("SessionIdError", &text.parse::<SessionId>().unwrap_err());
        let cursor = format!("{text}!").parse::<Cursor>();
        tripped.over_error("CursorError", &cursor.unwrap_err());
        tripped.over_error("ScopeError", &text.parse::<Scope>().unwrap_err());
        // A file of something else than the secret, and one that others may read.
        for (name, mode) in [("a.secret", 0o600), ("b.secret", 0o644)] {
            let path = secret_file(&folder.path().join(name), &format!("{text}0"), mode);
            tripped.over_error("SecretFileError", &read_secret_file(&path).unwrap_err());
        }
    }
    // Rows that hold what no writer writes: a key in the place of something else.
    drop(store);
    let text = format!("{whole} {whole}");
    for column in ["prefix", "project", "origins", "ips", "name"] {
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "ignore_check_constraints", true)
            .unwrap();
        let was: Option<String> = connection
            .query_row(
                &format!("SELECT {column} FROM keys WHERE slot = 0"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        let set = format!("UPDATE keys SET {column} = ?1 WHERE slot = 0");
        assert_eq!(connection.execute(&set, [&text]).unwrap(), 1);
        let store = Store::open(&path, &secrets.server).unwrap();
        let damaged = store.key(key.record.id).unwrap_err();
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged:?}");
        tripped.over_error("StoreError", &damaged);
        drop(store);
        assert_eq!(connection.execute(&set, [&was]).unwrap(), 1);
    }
    tripped.all_of(
        include_str!("../../crates/store/src/lib.rs"),
        &[&NUMBERS_OF_STORE, &WORDLESS_OF_STORE, &["LabelError"]],
    );
}

/// A file with a mode.
fn secret_file(path: &Path, text: &str, mode: u32) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.into()
}

#[test]
fn no_panic_over_the_adapters_types_shows_a_secret() {
    let secrets = Secrets::new();
    let mut tripped = Tripped::new(&secrets);
    let engine = Arc::new(Engine::builder(secrets.server.clone()).build().unwrap());
    engine
        .insert_keys(vec![secrets.stored_key().record])
        .unwrap();
    let needs = RouteNeeds::default();
    let rule = RouteRule::new([], "/a/**", needs).unwrap();
    let pattern: PathPattern = "/a/**".parse().unwrap();
    tripped.over_two("PathPattern", &pattern, &"/b".parse().unwrap());
    tripped.over("RouteNeeds", &needs);
    tripped.over("RouteRule", &rule);
    let routes = RoutePolicy::new(vec![rule]);
    tripped.over("RoutePolicy", &routes);
    tripped.over("PeerAddr", &PeerAddr(([192, 0, 2, 1], 1).into()));
    tripped.over("ForwardedHeader", &ForwardedHeader::XForwardedFor);
    let builder = AuthLayer::builder(engine).routes(routes);
    tripped.over("AuthLayerBuilder", &builder);
    let layer = builder.build();
    tripped.over("AuthLayer", &layer);
    let gate = layer.gate();
    tripped.over("Gate", gate);
    tripped.over("Auth", &tower::Layer::layer(&layer, "a service"));
    let mut headers = HeaderMap::new();
    let key = HeaderValue::from_str(secrets.key.expose()).unwrap();
    headers.insert("api-key", key);
    let verdict = gate.decide(&RequestFacts {
        method: &Method::GET,
        path: b"/",
        headers: &headers,
        client: gate.client([192, 0, 2, 1].into(), &headers),
    });
    assert!(verdict.decision().is_allowed());
    tripped.over("Verdict", &verdict);
    tripped.all_of(
        include_str!("../../crates/engine-hyper/src/lib.rs"),
        &[
            &SILENT_OF_HYPER,
            &BODIES_OF_HYPER,
            &["PatternError", "RouteError"],
        ],
    );
}

/// `SECURITY.md` says that these are not covered: they tell an operator what was
/// written into a setting, as it stands. Here so that the list is whole.
#[test]
fn errors_that_name_what_they_were_given_do_so() {
    let secrets = Secrets::new();
    let key = secrets.key.expose();
    let long = format!("{key}\n");
    let lower = format!("/{key}:{{id}}**");
    let errors: [&dyn Debug; 7] = [
        &key.parse::<engine::Cidr>().unwrap_err(),
        &long.parse::<engine::Name>().unwrap_err(),
        &key.parse::<engine::OriginPattern>().unwrap_err(),
        &key.parse::<Prefix>().unwrap_err(),
        &key.parse::<PathPattern>().unwrap_err(),
        &RouteRule::new([], &lower, RouteNeeds::default()).unwrap_err(),
        &long.parse::<Label>().unwrap_err(),
    ];
    for error in errors {
        let found = secrets.canaries.found_in_shown(&over(error));
        assert_eq!(found, Some("the key (plain)"), "{error:?}");
    }
}
