//! `kill -9` at any moment: what was acknowledged is there afterwards, and
//! nothing is half there.
//!
//! This program starts itself again as writers of the store, which say on
//! standard output what was committed, and kills them in the midst of it.
//! `TK_TEST_KILLS` says how many of them, 80 unless set; `TK_TEST_SECONDS` ends
//! a run earlier, `TK_TEST_SEED` says where it begins.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Engine, KeyId, KeyPolicy, KeyRecord, KeyState, Prefix, SecretKey, ServerSecret};
use tests::long::{Progress, Run};
use tokenkit_store::{Actor, Follower, Following, KeyFilter, Store, StoredKey};

/// The variable that makes this program a writer: its value is the store.
const WRITER: &str = "TOKENKIT_TEST_WRITER";
/// Writers at work at once.
const WRITERS: u64 = 2;
/// Keys in each commit: all of them are there, or none.
const TOGETHER: usize = 3;
/// Far more than anything here takes, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest life of a writer once it has acknowledged something.
const LONGEST_MS: u64 = 40;

fn secret() -> ServerSecret {
    ServerSecret::from_bytes([7; 32])
}

#[test]
fn what_was_acknowledged_outlives_kill_9() {
    if let Some(path) = std::env::var_os(WRITER) {
        write_for_ever(Path::new(&path));
    }
    let run = Run::from_env("TK_TEST_KILLS", 80);
    let mut progress = Progress::new("kills of who writes the store", run);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    drop(Store::create(&path, &secret()).unwrap());
    // Somebody follows all the while, and must come to know the same.
    let engine = Arc::new(Engine::builder(secret()).build().unwrap());
    let mut follower = Follower::open(&path, &secret()).unwrap();
    follower.load(&engine).unwrap();
    let following = Following::start(follower, Arc::clone(&engine), |_| {}).unwrap();

    let mut random = fastrand::Rng::with_seed(progress.next_seed());
    let mut acknowledged: HashMap<KeyId, KeyState> = HashMap::new();
    let mut kills = 0;
    while progress.goes_on() {
        let (begin, begun) = mpsc::channel();
        let mut writers: Vec<_> = (0..WRITERS)
            .map(|_| Writer::start(&path, begin.clone()))
            .collect();
        // The other may still wait for its turn: then it is killed in that.
        begun.recv_timeout(PATIENCE).expect("nothing is written");
        let until = Instant::now() + Duration::from_micros(random.u64(0..LONGEST_MS * 1000));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        for writer in &mut writers {
            writer.child.kill().unwrap();
        }
        for writer in writers {
            acknowledged.extend(writer.acknowledged());
        }
        kills += WRITERS;
        check(&path, &acknowledged, kills);
        progress.add(WRITERS);
    }
    assert!(acknowledged.len() as u64 >= kills, "too little was done");
    let begun = Instant::now();
    while !acknowledged.iter().all(|(id, state)| {
        engine
            .key_policy(*id)
            .is_some_and(|policy| is_or_came_later(*state, policy.state))
    }) {
        assert!(begun.elapsed() < PATIENCE, "the follower knows less");
        std::thread::yield_now();
    }
    assert_eq!(following.health().trouble(), None);
    eprintln!("proved: {} keys acknowledged", acknowledged.len());
}

/// Looks for everything that was acknowledged, in a store opened anew.
fn check(path: &Path, acknowledged: &HashMap<KeyId, KeyState>, kills: u64) {
    let store = Store::open(path, &secret()).unwrap();
    let mut found = HashMap::new();
    let mut commits: HashMap<String, usize> = HashMap::new();
    store
        .each_key(&KeyFilter::default(), |key| {
            *commits.entry(key.label.as_str().to_owned()).or_default() += 1;
            found.insert(key.record.id, key.record.policy.state);
            Ok::<_, tokenkit_store::StoreError>(())
        })
        .unwrap();
    for (id, state) in acknowledged {
        let there = found.get(id).copied();
        assert!(
            there.is_some_and(|there| is_or_came_later(*state, there)),
            "after {kills}: {id} was acknowledged as {state:?} and is {there:?}"
        );
    }
    for (commit, keys) in commits {
        assert_eq!(keys, TOGETHER, "after {kills}: half of commit {commit}");
    }
}

/// Whether a state is the acknowledged one, or that of a revocation that the
/// kill kept from being acknowledged.
fn is_or_came_later(acknowledged: KeyState, there: KeyState) -> bool {
    there == acknowledged || there == KeyState::Revoked
}

/// A writer, and what it says.
struct Writer {
    child: Child,
    said: JoinHandle<Vec<String>>,
}

impl Writer {
    fn start(path: &Path, begin: Sender<()>) -> Self {
        let this: PathBuf = std::env::current_exe().unwrap();
        let mut child = Command::new(this)
            .args([
                "--exact",
                "what_was_acknowledged_outlives_kill_9",
                "--nocapture",
            ])
            .env(WRITER, path)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            // What is not a whole line was not said.
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if line.ends_with(" .") {
                    let _ = begin.send(());
                    said.push(line);
                }
            }
            said
        });
        Self { child, said }
    }

    /// What it had acknowledged when it was killed, the last word on each key.
    fn acknowledged(mut self) -> HashMap<KeyId, KeyState> {
        self.child.wait().unwrap();
        let said = self.said.join().unwrap();
        let words = said.iter().map(|line| {
            let mut words = line.split(' ');
            let state = match words.next().unwrap() {
                "made" => KeyState::Active,
                "revoked" => KeyState::Revoked,
                other => panic!("{other}"),
            };
            (words.next().unwrap().parse().unwrap(), state)
        });
        words.collect()
    }
}

/// What a writer does: makes keys, revokes one of each commit, and says so
/// when that is committed.
fn write_for_ever(path: &Path) -> ! {
    let prefix: Prefix = "tk_live".parse().unwrap();
    let mut store = Store::open(path, &secret()).unwrap();
    loop {
        let keys: Vec<_> = (0..TOGETHER)
            .map(|_| SecretKey::generate(&prefix).unwrap())
            .collect();
        let commit = keys[0].id().to_string();
        let mut writer = store.write(&Actor::system(), 1_790_000_000).unwrap();
        for key in &keys {
            writer
                .add_key(&StoredKey {
                    record: KeyRecord {
                        id: key.id(),
                        digest: secret().digest_key(key.expose().as_bytes()),
                        policy: KeyPolicy::new("p1".parse().unwrap()),
                    },
                    label: commit.parse().unwrap(),
                    prefix,
                    created_at: 1_790_000_000,
                    revoked_at: None,
                    revoked_reason: None,
                    replaces: None,
                    revision: 0,
                })
                .unwrap();
        }
        writer.commit().unwrap();
        for key in &keys {
            say("made", key.id());
        }
        let mut writer = store.write(&Actor::system(), 1_790_000_000).unwrap();
        writer
            .change_key(keys[1].id(), None, |key| {
                key.record.policy.state = KeyState::Revoked;
            })
            .unwrap();
        writer.commit().unwrap();
        say("revoked", keys[1].id());
    }
}

/// Acknowledges: in one write, so that a line is whole or not there. Where
/// nobody listens any more, the parent has died.
fn say(what: &str, id: KeyId) {
    let line = format!("{what} {id} .\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .expect("somebody listens");
}
