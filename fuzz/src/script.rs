//! Scripts over a small world: few keys, addresses, origins and tokens, so
//! that what a script does meets what it did before.

use std::net::IpAddr;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use engine::{
    CidrList, FailureConfig, KeyPolicy, KeyState, Limit, OriginList, Prefixes, SecretKey,
    SessionRecord,
};
use tests::ips::IPS;
use trace::{Action, Applied, Ask, Change, Config, Key, Session, Subject, Trace};

use crate::with_check;

/// A set-up and what happens then.
#[derive(Debug, Arbitrary)]
pub struct Script {
    threshold: u8,
    window: u8,
    block_s: u8,
    steps: Vec<Step>,
}

/// One thing that happens, some time after the one before it.
#[derive(Debug, Arbitrary)]
struct Step {
    clock: Move,
    what: What,
}

#[derive(Debug, Arbitrary)]
enum Move {
    Stand,
    Seconds(i8),
    Hours(i8),
    /// To a second before, at or after the next edge of so many seconds.
    Edge(u16, bool),
}

#[derive(Debug, Arbitrary)]
enum What {
    Ask {
        header: Header,
        ip: Ip,
        origin: Option<Pick>,
        bearer: Option<Pick>,
        needs_user: bool,
        cost: Units,
    },
    /// Some guesses at once, so that blocks are common.
    Guess(Ip, u8),
    AddKey(Pick, PolicyBits),
    SetState(Pick, u8),
    SetLimit(Pick, Option<Units>),
    AddSession(Pick, PolicyBits),
    EndSession(Pick),
    Unblock(Ip),
}

/// A place in one of the small lists.
type Pick = u8;

#[derive(Debug, Arbitrary)]
enum Header {
    Absent,
    Key(Pick),
    /// A key with one byte replaced.
    Changed(Pick, u8, u8),
    Text(String),
}

/// What decides about a policy or a session, by its bits.
type PolicyBits = u16;

/// An address: mostly one of few.
#[derive(Debug)]
struct Ip(IpAddr);

impl<'a> Arbitrary<'a> for Ip {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let pick = u.arbitrary::<u8>()?;
        Ok(Self(match IPS.get(usize::from(pick % 16)) {
            Some(text) => text.parse().expect("a good address"),
            None => u128::arbitrary(u)?.to_be_bytes().into(),
        }))
    }
}

/// A number of units: mostly few, sometimes at the edge of a type.
#[derive(Debug, Arbitrary)]
enum Units {
    Few(u8),
    Any(u32),
    Most,
}

impl Units {
    fn cost(&self) -> u32 {
        match self {
            Self::Few(few) => u32::from(*few % 8),
            Self::Any(any) => *any,
            Self::Most => u32::MAX,
        }
    }

    fn limit(&self) -> Limit {
        match self {
            Self::Most => Limit::MAX,
            _ => Limit::try_from(u64::from(self.cost())).expect("32 bits are a limit"),
        }
    }
}

/// The set-up of every script, but for its numbers.
static CONFIG: LazyLock<Config> = LazyLock::new(|| Config {
    // These are taken unless others are named.
    prefixes: Prefixes::default(),
    origins: OriginList::parse(["https://console.example.com"]).expect("good origins"),
    failures: FailureConfig {
        exempt: CidrList::parse(["192.0.2.128/25"]).expect("a good block"),
        // Far more than a script names, and little to set up for each.
        max_addresses: 8192,
        ..FailureConfig::default()
    },
});

const START: u64 = 1_790_000_000;
/// No clock of a script is before or after these, so that no sum overflows.
const TIMES: std::ops::RangeInclusive<u64> = START / 2..=START * 2;

const ORIGINS: [&str; 11] = [
    "https://app.example.com",
    "https://APP.example.com:443",
    "https://app.example.com:8443",
    "https://a.b.shop.example",
    "https://shop.example",
    "https://console.example.com",
    "null",
    "garbage",
    "",
    " ",
    "https://",
];

const TOKENS: [&str; 5] = ["token-a", "token-b", "never", " ", ""];

/// A member of a list by a number of any size.
fn pick<'a>(list: &[&'a str], number: u8) -> &'a str {
    list[usize::from(number) % list.len()]
}

/// How many keys there are.
const KEYS: usize = 8;

/// The whole key of a number; the last prefix is not taken.
fn whole_key(number: Pick) -> String {
    let prefix = pick(&["tk_live", "tk_test", "tk_live", "tk_other"], number);
    let digit = char::from(b'a' + number % KEYS as u8);
    let body = format!("{prefix}_{}", digit.to_string().repeat(42));
    String::from_utf8(with_check(body.into_bytes())).expect("keys are ASCII")
}

fn policy(bits: PolicyBits) -> KeyPolicy {
    let has = |bit: u32| bits >> bit & 1 == 1;
    let texts = |on: bool, texts: &'static [&'static str]| if on { texts } else { &[] };
    let mut policy = KeyPolicy::new(if has(0) { "p1" } else { "p2" }.parse().expect("a name"));
    policy.hourly_limit = has(1).then(|| Units::Few((bits >> 8) as u8).limit());
    policy.expires_at = has(2).then_some(START + u64::from(bits >> 8) * 60);
    policy.require_origin = has(3);
    let origins = texts(
        has(4),
        &["https://app.example.com", "https://*.shop.example", "null"],
    );
    policy.origins = OriginList::parse(origins).expect("good origins");
    let ips = texts(has(5), &["198.51.100.0/24", "2001:db8::/48"]);
    policy.ips = CidrList::parse(ips).expect("good blocks");
    policy
}

impl Header {
    fn text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Key(number) => Some(whole_key(*number)),
            Self::Changed(number, at, byte) => {
                let mut key = whole_key(*number).into_bytes();
                let at = usize::from(*at) % key.len();
                key[at] = byte & 0x7F;
                String::from_utf8(key).ok()
            }
            Self::Text(text) => Some(text.clone()),
        }
    }
}

impl Move {
    fn from(&self, now: u64) -> u64 {
        let moved = match *self {
            Self::Stand => now,
            Self::Seconds(by) => now.saturating_add_signed(by.into()),
            Self::Hours(by) => now.saturating_add_signed(i64::from(by) * 3600),
            Self::Edge(span, before) => {
                let span = u64::from(span).max(1);
                (now / span + 1) * span - u64::from(before)
            }
        };
        moved.clamp(*TIMES.start(), *TIMES.end())
    }
}

impl Script {
    /// The set-up as a trace without steps.
    fn config(&self) -> Trace {
        let mut trace = Trace::parse(br#"{"trace": 1, "steps": []}"#).expect("a good trace");
        trace.config = CONFIG.clone();
        let failures = &mut trace.config.failures;
        failures.threshold = 1 + u32::from(self.threshold % 5);
        failures.window_s = 12 * (1 + u32::from(self.window % 30));
        failures.block_s = 1 + u32::from(self.block_s);
        trace
    }

    /// Runs on a subject. Ends early where the set-up is refused: a window may
    /// be too long for a block so short.
    ///
    /// # Panics
    ///
    /// Where the subject refuses what can be done, or panics itself.
    pub fn run<S: Subject>(&self) {
        let Ok(mut subject) = S::build(&self.config()) else {
            return;
        };
        let mut added = [false; KEYS];
        let mut now = START;
        for step in &self.steps {
            now = step.clock.from(now);
            if let Some((ask, times)) = step.what.ask() {
                for _ in 0..times {
                    subject.decide(now, &ask).expect("a decision");
                }
            } else if let Some(action) = step.what.action(&mut added) {
                let applied = match &action {
                    Action::AddKey(key) => subject.add_key(key),
                    Action::AddSession(session) => subject.add_session(session),
                    Action::Change(change) => subject.change(now, change),
                };
                assert_eq!(applied.expect("a change that can be made"), Applied::Yes);
            }
        }
    }
}

impl What {
    /// The request, and how often it comes.
    fn ask(&self) -> Option<(Ask, u8)> {
        match self {
            Self::Ask {
                header,
                ip,
                origin,
                bearer,
                needs_user,
                cost,
            } => {
                let ask = Ask {
                    api_key: header.text(),
                    ip: ip.0,
                    origin: origin.map(|number| pick(&ORIGINS, number).into()),
                    bearer: bearer.map(|number| pick(&TOKENS, number).into()),
                    needs_user: *needs_user,
                    cost: cost.cost(),
                };
                Some((ask, 1))
            }
            Self::Guess(ip, times) => {
                let ask = Ask {
                    api_key: Some("guess".into()),
                    ip: ip.0,
                    origin: None,
                    bearer: None,
                    needs_user: false,
                    cost: 1,
                };
                Some((ask, times % 8))
            }
            _ => None,
        }
    }

    /// The change; `None` where it is about a key that is not there, or adds
    /// one that is.
    fn action(&self, added: &mut [bool; KEYS]) -> Option<Action> {
        let number = |pick: &Pick| usize::from(*pick) % KEYS;
        let secret = |pick: &Pick| whole_key(*pick).parse::<SecretKey>().expect("a good key");
        let there =
            |pick: &Pick, added: &[bool; KEYS]| added[number(pick)].then(|| secret(pick).id());
        match self {
            Self::Ask { .. } | Self::Guess(..) => None,
            Self::AddKey(key, bits) => {
                if std::mem::replace(&mut added[number(key)], true) {
                    return None;
                }
                Some(Action::AddKey(Key {
                    name: None,
                    secret: secret(key),
                    policy: policy(*bits),
                }))
            }
            Self::SetState(key, state) => {
                let states = [KeyState::Active, KeyState::Disabled, KeyState::Revoked];
                let state = states[usize::from(*state) % states.len()];
                let id = there(key, added)?;
                Some(Action::Change(Change::SetState(id, state)))
            }
            Self::SetLimit(key, limit) => {
                let id = there(key, added)?;
                let limit = limit.as_ref().map(Units::limit);
                Some(Action::Change(Change::SetLimit(id, limit)))
            }
            Self::AddSession(token, bits) => {
                let KeyPolicy {
                    project,
                    expires_at,
                    ..
                } = policy(*bits);
                Some(Action::AddSession(Session {
                    token: pick(&TOKENS, *token).into(),
                    record: SessionRecord {
                        project,
                        user: "u1".parse().expect("a name"),
                        expires_at,
                    },
                }))
            }
            Self::EndSession(token) => {
                let token = pick(&TOKENS, *token).into();
                Some(Action::Change(Change::EndSession(token)))
            }
            Self::Unblock(ip) => Some(Action::Change(Change::Unblock(ip.0))),
        }
    }
}
