//! A store whose file was damaged: bits flipped, sectors emptied, pages in each
//! other's place, its end cut off. It is refused in words, or it admits nobody
//! whom it would not have admitted before.
//!
//! `TK_TEST_DAMAGES` says how often it is damaged at random, 300 times unless
//! set; `TK_TEST_SECONDS` ends that earlier, `TK_TEST_SEED` says where it begins.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use engine::{
    CidrList, Clock, Engine, FailureConfig, KeyPolicy, KeyRecord, KeyState, Limit, OriginList,
    Request, SecretKey, ServerSecret, SessionRecord, SessionToken,
};
use tests::long::{Progress, Run};
use tokenkit_store::{
    Actor, FollowError, Follower, SessionId, Store, StoreError, StoredKey, StoredSession,
};

const NOW: u64 = 1_790_000_000;
/// When the keys and sessions that end have ended.
const LATER: u64 = NOW + 200;
const SECTOR: usize = 512;
const PAGE: usize = 4096;

fn secret() -> ServerSecret {
    ServerSecret::from_bytes([7; 32])
}

/// A store, and what may be shown to it.
struct Filled {
    folder: tempfile::TempDir,
    path: PathBuf,
    keys: Vec<SecretKey>,
    tokens: Vec<SessionToken>,
}

/// One key of each kind: what it may do, and what it may not.
fn policies() -> Vec<KeyPolicy> {
    let policy = |change: &dyn Fn(&mut KeyPolicy)| {
        let mut policy = KeyPolicy::new("shop".parse().unwrap());
        change(&mut policy);
        policy
    };
    vec![
        policy(&|_| {}),
        policy(&|policy| policy.hourly_limit = Some(Limit::try_from(2).unwrap())),
        policy(&|policy| policy.state = KeyState::Revoked),
        policy(&|policy| policy.state = KeyState::Disabled),
        policy(&|policy| policy.expires_at = Some(NOW + 100)),
        policy(&|policy| policy.require_origin = true),
        policy(&|policy| {
            policy.origins = OriginList::parse(["https://app.example"]).unwrap();
            policy.ips = CidrList::parse(["198.51.100.0/24"]).unwrap();
        }),
    ]
}

/// In memory where that can be: what is written is damaged at once.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn filled() -> Filled {
    let folder = folder();
    let path = folder.path().join("tokenkit.db");
    let mut store = Store::create(&path, &secret()).unwrap();
    let prefix = "tk_live".parse().unwrap();
    let (mut keys, mut tokens) = (Vec::new(), Vec::new());
    let mut writer = store.write(&Actor::system(), NOW).unwrap();
    for policy in policies() {
        let key = SecretKey::generate(&prefix).unwrap();
        let revoked = policy.state == KeyState::Revoked;
        let stored = StoredKey {
            record: KeyRecord {
                id: key.id(),
                digest: secret().digest_key(key.expose().as_bytes()),
                policy,
            },
            label: "a key".parse().unwrap(),
            prefix,
            created_at: NOW,
            revoked_at: revoked.then_some(NOW),
            revoked_reason: None,
            replaces: None,
            revision: 0,
        };
        writer.add_key(&stored).unwrap();
        keys.push(key);
    }
    for (user, expires_at) in [("u1", None), ("u2", None), ("u3", Some(NOW + 100))] {
        let token = SessionToken::generate().unwrap();
        let stored = StoredSession {
            token: secret().digest_token(token.expose().as_bytes()),
            id: SessionId::of(&token),
            session: SessionRecord {
                project: "shop".parse().unwrap(),
                user: user.parse().unwrap(),
                expires_at,
            },
            created_at: NOW,
            ended: false,
        };
        writer.add_session(&stored).unwrap();
        tokens.push(token);
    }
    writer.end_session(&SessionId::of(&tokens[1])).unwrap();
    writer.commit().unwrap();
    Filled {
        folder,
        path,
        keys,
        tokens,
    }
}

/// What a store's engine says to everything that may be shown to it: of what
/// is admitted the limit and the user.
type Admitted = Vec<Option<(Option<u64>, Option<String>)>>;

fn engine() -> Engine {
    let failures = FailureConfig {
        threshold: 4000,
        max_addresses: 70,
        ..FailureConfig::default()
    };
    Engine::builder(secret())
        .failures(failures)
        .max_keys(64)
        .clock(Clock::manual(NOW))
        .build()
        .unwrap()
}

impl Filled {
    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }

    /// Asks an engine everything.
    fn admitted(&self, engine: &Engine) -> Admitted {
        let stranger = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
        let ips = [[198, 51, 100, 7], [203, 0, 113, 1]].map(|ip| IpAddr::V4(Ipv4Addr::from(ip)));
        let origins = [
            None,
            Some("https://app.example"),
            Some("https://evil.example"),
        ];
        let tokens = self.tokens.iter().map(Some).chain([None]);
        let tokens: Vec<_> = tokens.collect();
        let mut all = Vec::new();
        for now in [NOW, LATER] {
            for key in self.keys.iter().chain([&stranger]) {
                for (ip, origin) in ips.iter().flat_map(|ip| origins.map(|origin| (ip, origin))) {
                    for token in &tokens {
                        let mut request =
                            Request::new(*ip).api_key(key.expose().as_bytes()).cost(0);
                        if let Some(origin) = origin {
                            request = request.origin(origin.as_bytes());
                        }
                        if let Some(token) = token {
                            request = request.bearer(token.expose().as_bytes());
                        }
                        let decision = engine.decide_at(&request, now);
                        all.push(decision.is_allowed().then(|| {
                            let limit = decision.budget().map(|budget| budget.limit);
                            (limit, decision.user().map(ToString::to_string))
                        }));
                    }
                }
            }
        }
        all
    }

    /// Opens a damaged copy; what it then admits, and whether it was refused.
    fn reopened(&self, bytes: &[u8]) -> (Admitted, bool) {
        let copy = self.folder.path().join("copy.db");
        write_alone(&copy, bytes);
        let engine = engine();
        let loaded = Follower::open(&copy, &secret())
            .map_err(FollowError::from)
            .and_then(|mut follower| follower.load(&engine));
        if let Err(error) = &loaded {
            assert!(!error.to_string().is_empty());
        }
        (self.admitted(&engine), loaded.is_err())
    }

    /// Nobody is admitted, or as whom, or by as much, who was not before; and
    /// nobody is refused who was admitted, but where the damage is told of.
    fn admits_no_more(&self, before: &Admitted, bytes: &[u8], what: &str) -> bool {
        let (after, refused) = self.reopened(bytes);
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            // A user who is not known any more is refused more, not less.
            let fits = match (before, after) {
                (_, None) => true,
                (Some((limit, user)), Some((now, who))) => {
                    limit == now && (who.is_none() || who == user)
                }
                (None, Some(_)) => false,
            };
            assert!(
                fits,
                "{what}: request {number} was {before:?} and is {after:?}"
            );
            let is_told = refused || before == after;
            assert!(
                is_told,
                "{what}: request {number} was {before:?} and is {after:?}, untold"
            );
        }
        refused
    }
}

/// Writes a database, and nothing of an earlier one is left beside it.
fn write_alone(path: &Path, bytes: &[u8]) {
    for beside in ["-wal", "-shm"] {
        let mut beside_path = path.as_os_str().to_owned();
        beside_path.push(beside);
        let _ = std::fs::remove_file(beside_path);
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_copy_admits_the_same() {
    let filled = filled();
    let (before, refused) = filled.reopened(&filled.bytes());
    assert!(!refused);
    let admitted = before.iter().filter(|decision| decision.is_some());
    assert!((20..before.len() / 2).contains(&admitted.count()));
}

#[test]
fn no_bit_of_a_row_admits_anybody() {
    let filled = filled();
    let bytes = filled.bytes();
    let (before, _) = filled.reopened(&bytes);
    // A row of the table: its digest beside its id, as no index has them.
    let keys = filled.keys.iter().map(|key| {
        let digest = secret().digest_key(key.expose().as_bytes());
        [key.id().to_string().as_bytes(), digest.as_bytes()].concat()
    });
    let sessions = filled.tokens.iter().map(|token| {
        let digest = secret().digest_token(token.expose().as_bytes());
        [digest.as_bytes(), &token.expose().as_bytes()[..10]].concat()
    });
    let (mut refused, mut flipped) = (0, 0);
    for named in keys.chain(sessions) {
        let place = bytes.windows(named.len()).position(|text| *text == named);
        let place = place.expect("the row lies in the file");
        let end = place + named.len();
        // How the row is divided stands before it, what it says behind.
        for at in (place - 24..place).chain(end..(end + 100).min(bytes.len())) {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let what = format!("bit {bit} of byte {at}");
                refused += usize::from(filled.admits_no_more(&before, &damaged, &what));
                flipped += 1;
            }
        }
    }
    assert!(refused > flipped / 2, "{refused} of {flipped} were noticed");
    eprintln!("proved: {flipped} bits flipped, {refused} noticed");
}

#[test]
fn no_damage_admits_anybody() {
    let mut progress = Progress::new("damages", Run::from_env("TK_TEST_DAMAGES", 300));
    let filled = filled();
    let bytes = filled.bytes();
    let (before, _) = filled.reopened(&bytes);
    let mut random = fastrand::Rng::with_seed(progress.next_seed());
    let (mut done, mut refused) = (0, 0);
    while progress.goes_on() {
        let mut damaged = bytes.clone();
        match done % 4 {
            0 => {
                for _ in 0..random.usize(1..20) {
                    let at = random.usize(..damaged.len());
                    damaged[at] ^= 1 << random.u32(..8);
                }
            }
            1 => {
                let at = random.usize(..damaged.len() / SECTOR) * SECTOR;
                damaged[at..at + SECTOR].fill(0);
            }
            2 => {
                let page = |random: &mut fastrand::Rng| random.usize(..bytes.len() / PAGE) * PAGE;
                let (from, to) = (page(&mut random), page(&mut random));
                damaged.copy_within(from..from + PAGE, to);
            }
            _ => damaged.truncate(random.usize(..damaged.len())),
        }
        let what = format!("damage {done}");
        refused += u64::from(filled.admits_no_more(&before, &damaged, &what));
        done += 1;
        progress.add(1);
    }
    assert!(refused > done / 4, "{refused} of {done} were noticed");
    eprintln!("proved: {refused} of {done} damages noticed");
}

/// What was not yet moved from the log into the file may be lost with it; what
/// is left is one commit or another.
#[test]
fn a_damaged_log_brings_whole_commits_or_none() {
    let folder = folder();
    let path = folder.path().join("tokenkit.db");
    let mut store = Store::create(&path, &secret()).unwrap();
    let prefix = "tk_live".parse().unwrap();
    let mut ids = Vec::new();
    for _ in 0..20 {
        let mut writer = store.write(&Actor::system(), NOW).unwrap();
        for _ in 0..2 {
            let key = SecretKey::generate(&prefix).unwrap();
            let stored = StoredKey::of(
                &key,
                &secret(),
                prefix,
                KeyPolicy::new("shop".parse().unwrap()),
                "a key".parse().unwrap(),
                NOW,
            );
            writer.add_key(&stored).unwrap();
            ids.push(key.id());
        }
        writer.commit().unwrap();
    }
    // Copied while it is open: closing it would empty the log.
    let file = std::fs::read(&path).unwrap();
    let log = std::fs::read(folder.path().join("tokenkit.db-wal")).unwrap();
    assert!(log.len() > 20 * PAGE);
    let mut random = fastrand::Rng::with_seed(2);
    let copy = folder.path().join("copy.db");
    let mut counts = std::collections::BTreeSet::new();
    for round in 0..100 {
        let mut damaged = log.clone();
        if round % 2 == 0 {
            damaged.truncate(random.usize(..log.len()));
        } else {
            let at = random.usize(..log.len());
            damaged[at] ^= 1 << random.u32(..8);
        }
        write_alone(&copy, &file);
        std::fs::write(folder.path().join("copy.db-wal"), &damaged).unwrap();
        let store = match Store::open(&copy, &secret()) {
            Ok(store) => store,
            // Its tables were in the log alone.
            Err(
                StoreError::Missing(_) | StoreError::Damaged { .. } | StoreError::Foreign { .. },
            ) => {
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let mut found = Vec::new();
        store
            .each_key(&tokenkit_store::KeyFilter::default(), |key| {
                found.push(key.record.id);
                Ok::<_, StoreError>(())
            })
            .unwrap();
        assert_eq!(found, ids[..found.len()], "round {round}");
        assert!(found.len().is_multiple_of(2), "half a commit");
        counts.insert(found.len());
    }
    assert!(counts.len() > 5, "{counts:?}");
}
