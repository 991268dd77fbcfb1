//! What `Debug` and `Display` of the engine's public types say of secrets that
//! went into them, and so what panics over them say: nothing.
//!
//! Invariant 6. A type that is made public and not thought of here fails the
//! test that reads which there are.

#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::net::Ipv4Addr;

use engine::{
    Budget, BuildError, Cidr, CidrList, ClientAddr, Clock, Engine, FailureConfig, Hour, KeyId,
    KeyPolicy, KeyRecord, KeyState, Limit, Name, OriginList, OriginPattern, Prefix, Request,
    SecretKey, ServerSecret, SessionRecord, SessionToken,
};
use tests::canaries::Canaries;
use tests::panics;
use tests::public_types::public_types;

const NOW: u64 = 1_790_000_000;

/// Types that have no `Debug` to begin with: they borrow what a client sent.
const SILENT: [&str; 3] = ["Credential", "Explaining", "Request"];
/// Types into which no text and no secret goes, but numbers and words of ours.
const NUMBERS: [&str; 17] = [
    "Blocked", // An address.
    "Check",   // By way of `Explanation`.
    "EngineStats",
    "KeyChangeError",
    "LedgerError", // A path and a cause.
    "LedgerFault",
    "LedgerKey",
    "LedgerReport",
    "LedgerView",
    "MintError",
    "ProjectId",
    "Reason",
    "ReasonSet",
    "ShadowError",
    "ShadowPolicy", // Key ids and names of projects.
    "ShadowScope",
    "Verdict",
];

/// Errors that name what an operator wrote into a setting, as it stands. The
/// program hides in its errors what could be a secret (its `tests/secrets.rs`).
const NAMING: [&str; 4] = ["CidrError", "NameError", "OriginError", "PrefixError"];

/// What each type shows, by its name.
#[derive(Default)]
struct Shown(Vec<(&'static str, String)>);

impl Shown {
    fn of(&mut self, name: &'static str, value: &dyn Debug) {
        let panics = panics::over(value);
        self.0
            .push((name, format!("{value:?} {value:#?} {panics}")));
    }

    /// What an error says of a text, and what came of it.
    fn parsed<T: Debug, E: Debug + std::fmt::Display>(
        &mut self,
        name: &'static str,
        result: Result<T, E>,
    ) {
        match result {
            Ok(value) => self.of(name, &value),
            Err(error) => {
                self.of(name, &error);
                self.0.push((name, error.to_string()));
            }
        }
    }
}

#[test]
fn no_type_shows_a_secret() {
    let prefix: Prefix = "tk_live".parse().unwrap();
    let secret = ServerSecret::generate().unwrap();
    let key = SecretKey::generate(&prefix).unwrap();
    let token = SessionToken::generate().unwrap();
    let project: Name = "p".parse().unwrap();
    let mut policy = KeyPolicy::new(project);
    policy.hourly_limit = Some(Limit::try_from(3).unwrap());
    let record = KeyRecord {
        id: key.id(),
        digest: secret.digest_key(key.expose().as_bytes()),
        policy: policy.clone(),
    };
    let session = SessionRecord {
        project,
        user: "u".parse().unwrap(),
        expires_at: None,
    };
    let token_digest = secret.digest_token(token.expose().as_bytes());
    let builder = Engine::builder(secret.clone()).clock(Clock::manual(NOW));
    let mut shown = Shown::default();
    shown.of("EngineBuilder", &builder);
    let engine = builder.build().unwrap();
    engine.insert_keys(vec![record.clone()]).unwrap();
    engine.put_session(token_digest, session);
    shown.of("SecretKey", &key);
    shown.of("ServerSecret", &secret);
    shown.of("SessionToken", &token);
    shown.of("KeyDigest", &record.digest);
    shown.of("TokenDigest", &token_digest);
    shown.of("KeyRecord", &record);
    shown.of("KeyPolicy", &policy);
    shown.of("SessionRecord", &session);
    shown.of("Prefix", &prefix);
    shown.of("Prefixes", engine.prefixes());
    shown.of("KeyId", &key.id());
    shown.of("KeyState", &KeyState::Active);
    shown.of("Limit", &policy.hourly_limit);
    shown.of("Clock", engine.clock());
    shown.of("Hour", &Hour::of(NOW));
    shown.of("ClientAddr", &ClientAddr::from(Ipv4Addr::LOCALHOST));
    shown.of("CidrList", &CidrList::default());
    shown.of("OriginList", &OriginList::default());
    shown.of("FailureConfig", &FailureConfig::default());
    shown.of("Engine", &engine);
    let bad = FailureConfig {
        threshold: 0,
        ..FailureConfig::default()
    };
    let refused = Engine::builder(secret.clone()).failures(bad).build();
    shown.parsed::<Engine, BuildError>("BuildError", refused);

    let wrong = format!("{}!", key.expose());
    for text in [key.expose(), token.expose(), &wrong] {
        for decided in [
            Request::new(Ipv4Addr::LOCALHOST).api_key(text.as_bytes()),
            Request::new(Ipv4Addr::LOCALHOST)
                .api_key(key.expose().as_bytes())
                .bearer(text.as_bytes())
                .needs_user(true),
        ] {
            shown.of("Explanation", &engine.explain_at(&decided, NOW));
            let decision = engine.decide_at(&decided, NOW);
            shown.of("Decision", &decision);
            let budget: Option<Budget> = decision.budget();
            shown.of("Budget", &budget);
        }
        // Whoever takes one for the other is told so without it.
        shown.parsed("KeyFormError", wrong.parse::<SecretKey>());
        shown.parsed("KeyIdError", text.parse::<KeyId>());
        shown.parsed("LimitError", Limit::try_from(u64::MAX));
    }
    shown.of("Cidr", &"10.0.0.0/8".parse::<Cidr>().unwrap());
    shown.of(
        "OriginPattern",
        &"https://a.example".parse::<OriginPattern>().unwrap(),
    );
    shown.of("Name", &project);

    let mut canaries = Canaries::of_short_pieces();
    canaries.add("the server secret", secret.expose());
    canaries.key("the key", key.expose(), Some(&secret));
    canaries.token("the token", token.expose(), Some(&secret));
    for (name, text) in &shown.0 {
        let found = canaries.found_in_shown(text);
        assert_eq!(found, None, "{name} shows it: {text}");
    }

    let mut seen: Vec<&str> = shown.0.iter().map(|(name, _)| *name).collect();
    seen.extend(SILENT);
    seen.extend(NUMBERS);
    seen.extend(NAMING);
    let names = public_types(include_str!("../../crates/engine/src/lib.rs"));
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(seen.contains(&&*name), "what does {name} show?");
    }
}
