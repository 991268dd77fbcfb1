//! The engine against its slow twin: random operations, every answer compared.
//!
//! `TK_TEST_OPS` says how many operations to run, 100,000 unless set.
//! Cases that ever failed are kept in `proptest-regressions/` and run first.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::net::IpAddr;
use std::sync::LazyLock;

use engine::{KeyPolicy, KeyState, Limit, SecretKey, SessionRecord};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tests::oracle::Oracle;
use trace::{Ask, Change, EngineSubject, Key, Session, Subject, Trace};

/// Operations in one case, on one fresh engine.
const OPS_PER_CASE: usize = 400;

fn cases() -> u32 {
    let ops = std::env::var("TK_TEST_OPS").map_or(100_000, |text| {
        text.parse::<usize>().expect("TK_TEST_OPS is a number")
    });
    u32::try_from(ops.div_ceil(OPS_PER_CASE)).expect("fewer cases than 2^32")
}

const CONFIG: &str = r#"{"trace": 1, "config": {
    "prefixes": ["tk_live", "tk_test"],
    "origins": ["https://console.example.com"],
    "failures": {"threshold": 3, "window_s": WINDOW, "block_s": BLOCK, "exempt": ["192.0.2.128/25"]}},
    "steps": []}"#;

const START: u64 = 1_790_000_000;

/// Keys that there are from the start, and keys that may be added.
const KEYS: usize = 8;
const FIRST_KEYS: usize = 5;

static SECRETS: LazyLock<Vec<SecretKey>> = LazyLock::new(|| {
    let mint = |prefix: &str| SecretKey::generate(&prefix.parse().unwrap()).unwrap();
    let mut secrets: Vec<_> = (0..KEYS)
        .map(|i| mint(["tk_live", "tk_test"][i % 2]))
        .collect();
    // Never minted, and of a prefix that is not taken.
    secrets.extend([mint("tk_live"), mint("tk_other")]);
    secrets
});

const IPS: [&str; 12] = [
    "198.51.100.7",
    "::ffff:198.51.100.7",
    "198.51.100.8",
    "192.0.2.127",
    "192.0.2.128",
    "::ffff:192.0.2.200",
    "2001:db8:0:1::1",
    "2001:db8:0:1:ffff::2",
    "2001:db8:0:2::1",
    "::1",
    "0.0.0.0",
    "ffff:ffff:ffff:ffff::",
];

const ORIGINS: [&str; 13] = [
    "https://app.example.com",
    "https://APP.example.com:443",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://a.b.shop.example",
    "https://shop.example",
    "https://evilshop.example",
    "https://console.example.com",
    "null",
    "garbage",
    "",
    " ",
    "https://",
];

const TOKENS: [&str; 6] = ["token-a", "token-b", "token-c", "token-d", "never", ""];

/// Policies of the keys by their number; states, limits and use change.
fn policy(key: usize) -> KeyPolicy {
    let mut policy = KeyPolicy::new(["p1", "p2"][key / 2 % 2].parse().unwrap());
    policy.hourly_limit = [Some(3), None, Some(u64::from(u32::MAX)), Some(10)][key % 4].map(limit);
    let origins: &[&str] = [
        &[][..],
        &["https://app.example.com", "https://*.shop.example"],
        &[],
        &["null", "http://app.example.com:80"],
    ][key % 4];
    policy.origins = engine::OriginList::parse(origins).unwrap();
    policy.require_origin = key % 4 == 1 || key == 6;
    let ips: &[&str] = [&[][..], &["198.51.100.0/24", "2001:db8::/48"], &["::/0"]][key % 3];
    policy.ips = engine::CidrList::parse(ips).unwrap();
    policy.expires_at = (key == 3).then_some(START + 4000);
    policy
}

fn limit(units: u64) -> Limit {
    Limit::try_from(units).unwrap()
}

/// What the `api-key` header says.
#[derive(Clone, Debug)]
enum Header {
    Absent,
    Blank,
    /// A key of [`SECRETS`].
    Key(usize),
    /// A key with one byte replaced.
    Mutated(usize, usize, u8),
    /// A key cut short or with something behind it.
    Cut(usize, usize),
    Lengthened(usize),
}

#[derive(Clone, Debug)]
enum Op {
    Ask {
        header: Header,
        ip: usize,
        origin: Option<usize>,
        bearer: Option<usize>,
        needs_user: bool,
        cost: u32,
    },
    /// Several guesses at once, so that blocks are common.
    Guess {
        ip: usize,
        times: u8,
    },
    SetState(usize, KeyState),
    SetLimit(usize, Option<u64>),
    AddKey(usize),
    AddSession {
        token: usize,
        project: usize,
        user: usize,
        lives_s: Option<u64>,
    },
    EndSession(usize),
    Unblock(usize),
    Clock(Move),
}

/// Where the clock goes.
#[derive(Clone, Debug)]
enum Move {
    By(i64),
    /// To the edge of the next span of so many seconds, and a little beside.
    Edge(u64, i64),
    /// By whole hours.
    Hours(i64),
}

fn header() -> impl Strategy<Value = Header> {
    let key = || 0..KEYS;
    prop_oneof![
        20 => key().prop_map(Header::Key),
        2 => (KEYS..KEYS + 2).prop_map(Header::Key),
        1 => Just(Header::Absent),
        1 => Just(Header::Blank),
        1 => (key(), 0_usize..56, b' '..=b'~').prop_map(|(key, at, byte)| Header::Mutated(key, at, byte)),
        1 => (key(), 0_usize..56).prop_map(|(key, len)| Header::Cut(key, len)),
        1 => key().prop_map(Header::Lengthened),
    ]
}

fn ask() -> impl Strategy<Value = Op> {
    let cost = prop_oneof![
        6 => Just(1),
        2 => Just(0),
        2 => 2_u32..6,
        1 => Just(u32::MAX),
        1 => any::<u32>(),
    ];
    (
        header(),
        0..IPS.len(),
        prop::option::weighted(0.4, 0..ORIGINS.len()),
        prop::option::weighted(0.4, 0..TOKENS.len()),
        prop::bool::weighted(0.25),
        cost,
    )
        .prop_map(|(header, ip, origin, bearer, needs_user, cost)| Op::Ask {
            header,
            ip,
            origin,
            bearer,
            needs_user,
            cost,
        })
}

fn op() -> impl Strategy<Value = Op> {
    let state = prop_oneof![
        8 => Just(KeyState::Active),
        4 => Just(KeyState::Disabled),
        1 => Just(KeyState::Revoked),
    ];
    let units = prop_oneof![
        4 => (0_u64..12).prop_map(Some),
        1 => Just(None),
        1 => Just(Some(u64::from(u32::MAX))),
        1 => Just(Some(Limit::MAX.units())),
    ];
    let moved = prop_oneof![
        8 => (0_i64..60).prop_map(Move::By),
        2 => (-60_i64..0).prop_map(Move::By),
        3 => (-1_i64..=1).prop_map(|beside| Move::Edge(3600, beside)),
        4 => (prop_oneof![Just(1_u64), Just(25), Just(300)], -1_i64..=1)
            .prop_map(|(span, beside)| Move::Edge(span, beside)),
        2 => (-9_i64..=10).prop_map(Move::Hours),
        1 => (-400_i64..400).prop_map(Move::By),
    ];
    let lives_s = prop::option::of(prop_oneof![Just(0_u64), 1_u64..100, Just(3600)]);
    prop_oneof![
        60 => ask(),
        6 => (0..IPS.len(), 1_u8..5).prop_map(|(ip, times)| Op::Guess { ip, times }),
        4 => (0..KEYS, state).prop_map(|(key, state)| Op::SetState(key, state)),
        5 => (0..KEYS, units).prop_map(|(key, units)| Op::SetLimit(key, units)),
        1 => (FIRST_KEYS..KEYS).prop_map(Op::AddKey),
        4 => (0_usize..4, 0_usize..2, 0_usize..3, lives_s).prop_map(|(token, project, user, lives_s)| {
            Op::AddSession { token, project, user, lives_s }
        }),
        2 => (0..TOKENS.len()).prop_map(Op::EndSession),
        2 => (0..IPS.len()).prop_map(Op::Unblock),
        16 => moved.prop_map(Op::Clock),
    ]
}

/// Both subjects, and the clock.
struct Pair {
    oracle: Oracle,
    engine: EngineSubject,
    at: u64,
    added: Vec<usize>,
}

impl Pair {
    fn new(window_s: u32, block_s: u32) -> Self {
        let config = CONFIG
            .replace("WINDOW", &window_s.to_string())
            .replace("BLOCK", &block_s.to_string());
        let config = Trace::parse(config.as_bytes()).unwrap();
        let mut pair = Self {
            oracle: Oracle::build(&config).unwrap(),
            engine: EngineSubject::build(&config).unwrap(),
            at: START,
            added: Vec::new(),
        };
        for key in 0..FIRST_KEYS {
            pair.add_key(key);
        }
        pair
    }

    fn add_key(&mut self, key: usize) {
        if !self.added.contains(&key) {
            self.added.push(key);
            let key = Key {
                name: None,
                secret: SECRETS[key].clone(),
                policy: policy(key),
            };
            let _ = self.oracle.add_key(&key).unwrap();
            let _ = self.engine.add_key(&key).unwrap();
        }
    }

    fn change(&mut self, change: &Change) {
        let _ = self.oracle.change(self.at, change).unwrap();
        let _ = self.engine.change(self.at, change).unwrap();
    }

    fn compare(&mut self, ask: &Ask) -> Result<(), TestCaseError> {
        let expected = self.oracle.decide(self.at, ask).unwrap();
        let got = self.engine.decide(self.at, ask).unwrap();
        prop_assert_eq!(expected, got, "at {}", self.at);
        Ok(())
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Ask {
                ref header,
                ip,
                origin,
                bearer,
                needs_user,
                cost,
            } => self.compare(&Ask {
                api_key: text(header),
                ip: address(ip),
                origin: origin.map(|i| ORIGINS[i].into()),
                bearer: bearer.map(|i| TOKENS[i].into()),
                needs_user,
                cost,
            })?,
            Op::Guess { ip, times } => {
                for _ in 0..times {
                    self.compare(&guess(address(ip)))?;
                }
            }
            Op::SetState(key, state) if self.added.contains(&key) => {
                self.change(&Change::SetState(SECRETS[key].id(), state));
            }
            Op::SetLimit(key, units) if self.added.contains(&key) => {
                self.change(&Change::SetLimit(SECRETS[key].id(), units.map(limit)));
            }
            // Not there yet.
            Op::SetState(..) | Op::SetLimit(..) => {}
            Op::AddKey(key) => self.add_key(key),
            Op::AddSession {
                token,
                project,
                user,
                lives_s,
            } => {
                let session = Session {
                    token: TOKENS[token].into(),
                    record: SessionRecord {
                        project: ["p1", "p2"][project].parse().unwrap(),
                        user: ["u1", "u2", "u3"][user].parse().unwrap(),
                        expires_at: lives_s.map(|lives_s| self.at + lives_s),
                    },
                };
                let _ = self.oracle.add_session(&session).unwrap();
                let _ = self.engine.add_session(&session).unwrap();
            }
            Op::EndSession(token) => self.change(&Change::EndSession(TOKENS[token].into())),
            Op::Unblock(ip) => self.change(&Change::Unblock(address(ip))),
            Op::Clock(ref moved) => {
                self.at = match *moved {
                    Move::By(seconds) => self.at.saturating_add_signed(seconds),
                    Move::Edge(span, beside) => {
                        (self.at / span * span + span).saturating_add_signed(beside)
                    }
                    Move::Hours(hours) => self.at.saturating_add_signed(hours * 3600),
                }
            }
        }
        Ok(())
    }
}

fn address(ip: usize) -> IpAddr {
    IPS[ip].parse().unwrap()
}

fn guess(ip: IpAddr) -> Ask {
    Ask {
        api_key: Some(SECRETS[KEYS].expose().into()),
        ip,
        origin: None,
        bearer: None,
        needs_user: false,
        cost: 1,
    }
}

fn text(header: &Header) -> Option<String> {
    let key = |key: usize| SECRETS[key].expose().to_owned();
    match *header {
        Header::Absent => None,
        Header::Blank => Some(" \t ".into()),
        Header::Key(number) => Some(key(number)),
        Header::Mutated(number, at, byte) => {
            let mut text = key(number);
            text.replace_range(at..=at, &char::from(byte).to_string());
            Some(text)
        }
        Header::Cut(number, len) => Some(key(number)[..len].into()),
        Header::Lengthened(number) => Some(key(number) + "0"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/oracle.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_engine_decides_as_its_twin(
        (window_s, block_s) in prop_oneof![Just((300_u32, 60_u32)), Just((12, 1)), Just((12, 30)), Just((3600, 300))],
        ops in prop::collection::vec(op(), OPS_PER_CASE),
    ) {
        let mut pair = Pair::new(window_s, block_s);
        for op in &ops {
            pair.run(op)?;
        }
    }
}
