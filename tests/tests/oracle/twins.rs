//! The engine and its slow twin, driven by the same operations: every answer is
//! compared, and after each step what every key has used.

use std::collections::BTreeMap;

use engine::{
    CidrList, Clock, Credential, Decision, Engine, Hour, KeyId, KeyPolicy, KeyRecord, Limit,
    Reason, Request, SecretKey, ServerSecret, SessionRecord, ShadowPolicy, ShadowScope,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tempfile::TempDir;
use tests::oracle::more::Found;
use tests::oracle::{KnownKey, Oracle};
use trace::{Answer, Ask, Change, EngineSubject, Session, Subject, Trace};

use crate::ops::{Asked, Header, Op, Whom};
use crate::world::{
    EXEMPT, FIRST_KEYS, KEYS, MINTED, ORIGINS, PROJECTS, REPEATED, SECRETS, START, TOKENS, config,
    limit, policy,
};

/// Where the engine counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In memory.
    Memory,
    /// Two engines in one file, to which requests go by turns.
    File,
    /// The broken twin of that: who begins anew finds an empty file.
    ForgetfulFile,
}

/// A folder for the ledger's file: in memory where the machine has such a place,
/// for a file of its own is made in each of many thousand worlds.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Both, and the world that they are in.
pub(crate) struct Twins {
    oracle: Oracle,
    engines: Vec<Engine>,
    config: Trace,
    home: Home,
    folder: Option<TempDir>,
    clock: Clock,
    at: u64,
    steps: usize,
    minted: Vec<SecretKey>,
    /// Those that a new engine has to be told.
    sessions: BTreeMap<usize, SessionRecord>,
    shadow: ShadowPolicy,
    /// Which addresses are exempt.
    exempt: usize,
}

/// Every so many steps all the hours of every key are compared, not the present
/// one alone.
const RINGS_EVERY: usize = 16;

impl Twins {
    pub(crate) fn new(home: Home, window_s: u32, block_s: u32) -> Self {
        let config = config(window_s, block_s);
        let mut twins = Self {
            oracle: Oracle::build(&config).unwrap(),
            engines: Vec::new(),
            home,
            folder: (home != Home::Memory).then(folder),
            clock: Clock::manual(START),
            at: START,
            steps: 0,
            minted: Vec::new(),
            sessions: BTreeMap::new(),
            shadow: ShadowPolicy::default(),
            exempt: 0,
            config,
        };
        let doors = if home == Home::Memory { 1 } else { 2 };
        twins.engines = (0..doors).map(|_| twins.engine()).collect();
        for key in 0..FIRST_KEYS {
            twins.put(&SECRETS[key], policy(key));
        }
        twins
    }

    /// Another engine, that knows no key.
    fn engine(&self) -> Engine {
        let config = &self.config.config;
        let mut builder = Engine::builder(ServerSecret::from_bytes([0; 32]))
            .prefixes(config.prefixes.clone())
            .origins(config.origins.clone())
            .failures(config.failures.clone())
            .max_keys(1 << 6)
            .clock(self.clock.clone());
        if let Some(folder) = &self.folder {
            builder = builder.ledger(folder.path().join("ledger"));
        }
        builder.build().unwrap()
    }

    /// The one that is asked now.
    fn door(&self) -> &Engine {
        &self.engines[self.steps % self.engines.len()]
    }

    fn secret(&self, key: usize) -> &SecretKey {
        match key.checked_sub(KEYS) {
            None => &SECRETS[key],
            Some(minted) if minted < MINTED => self.minted.get(minted).unwrap_or(&SECRETS[KEYS]),
            Some(stranger) => &SECRETS[KEYS + stranger - MINTED],
        }
    }

    fn record(&self, secret: &SecretKey, policy: KeyPolicy) -> KeyRecord {
        KeyRecord {
            id: secret.id(),
            digest: ServerSecret::from_bytes([0; 32]).digest_key(secret.expose().as_bytes()),
            policy,
        }
    }

    fn put(&mut self, secret: &SecretKey, policy: KeyPolicy) {
        for engine in &self.engines {
            let record = self.record(secret, policy.clone());
            engine.put_keys(vec![record]).unwrap();
        }
        self.known(secret, &policy);
    }

    /// Tells the oracle of a key that the engines have by now.
    fn known(&mut self, secret: &SecretKey, policy: &KeyPolicy) {
        if self.oracle.put(self.at, secret, policy) == Found::Either {
            // An hour in which nothing was used is told by that before it.
            let told = |hour: &u64| [*hour, hour.saturating_sub(8)];
            let hours = self.oracle.hours(secret.id());
            let mut hours = hours.iter().flat_map(told);
            let known = self.oracle.known(secret.id());
            if !hours.all(|hour| self.agrees(known, secret.id(), hour)) {
                self.oracle.forget(secret.id());
            }
        }
    }

    /// Whether every engine has counted of a key what the oracle has.
    fn agrees(&self, known: Option<&KnownKey>, id: KeyId, hour: u64) -> bool {
        let expected = known.and_then(|known| expected_use(known, hour));
        let of = Hour::of(hour * 3600);
        self.engines
            .iter()
            .all(|engine| engine.used(id, of) == expected)
    }

    fn compare(&self, ask: &Ask, expected: &Answer, got: Decision) -> Result<(), TestCaseError> {
        let shadowed = got.shadowed();
        let got = Answer::from(got);
        prop_assert_eq!(expected, &got, "at {}, {:?}", self.at, ask.api_key);
        prop_assert_eq!(self.oracle.shadowed(), shadowed, "at {}", self.at);
        Ok(())
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), TestCaseError> {
        let expected = self.oracle.decide(self.at, ask).unwrap().unwrap();
        // Told first: that changes nothing, and comes to the same.
        let explained = self.door().explain_at(&request(ask), self.at).decision;
        let got = self.door().decide(&request(ask));
        prop_assert_eq!(explained, got, "explained otherwise than decided");
        self.compare(ask, &expected, got)
    }

    fn batch(&mut self, asks: &[Ask]) -> Result<(), TestCaseError> {
        let requests: Vec<_> = asks.iter().map(request).collect();
        let mut decisions = vec![Decision::default(); asks.len()];
        self.door().decide_batch(&requests, &mut decisions);
        for (ask, got) in asks.iter().zip(decisions) {
            let expected = self.oracle.decide(self.at, ask).unwrap().unwrap();
            self.compare(ask, &expected, got)?;
        }
        Ok(())
    }

    /// What an operation says, as a request.
    fn asked(&self, asked: &Asked) -> Ask {
        Ask {
            api_key: self.header(&asked.header),
            ip: asked.from.ip(),
            origin: asked.origin.map(|i| ORIGINS[i].into()),
            bearer: asked.bearer.map(|i| TOKENS[i].into()),
            needs_user: asked.needs_user,
            cost: asked.cost,
        }
    }

    fn header(&self, header: &Header) -> Option<String> {
        let key = |key: usize| self.secret(key).expose().to_owned();
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
            Header::Repeated => Some(REPEATED.into()),
        }
    }

    fn change(&mut self, change: &Change) {
        let Ok(_) = self.oracle.change(self.at, change);
    }

    /// Changes the policy of a key that is there.
    fn update(&mut self, key: usize, change: impl Fn(&mut KeyPolicy)) {
        let secret = self.secret(key).clone();
        if self.oracle.known(secret.id()).is_none() {
            return;
        }
        let mut policy = None;
        for engine in &self.engines {
            policy = Some(engine.update_key(secret.id(), &change).unwrap());
        }
        if let Some(policy) = policy {
            let found = self.oracle.put(self.at, &secret, &policy);
            assert_eq!(found, Found::Certain, "it was there");
        }
    }

    fn mint(&mut self, number: usize) {
        if self.minted.len() == MINTED {
            return;
        }
        let policy = policy(number);
        let prefix = "tk_live".parse().unwrap();
        let secret = self.door().mint(&prefix, policy.clone()).unwrap();
        for engine in &self.engines {
            let record = self.record(&secret, policy.clone());
            // The one that minted it has it.
            engine.put_keys(vec![record]).unwrap();
        }
        self.known(&secret, &policy);
        self.minted.push(secret);
    }

    fn remove(&mut self, key: usize) {
        let id = self.secret(key).id();
        if self.oracle.remove(self.at, id) {
            for engine in &self.engines {
                engine.remove_key(id).unwrap();
            }
        }
    }

    /// Ends some engines, and begins as many anew with what those knew but had
    /// not counted.
    fn reopen(&mut self, which: std::ops::Range<usize>) {
        if self.home == Home::Memory {
            return;
        }
        let ids = (0..KEYS + MINTED).map(|key| self.secret(key));
        let records: Vec<_> = ids
            .filter_map(|secret| {
                let policy = self.engines[which.start].key_policy(secret.id())?;
                Some(self.record(secret, policy))
            })
            .collect();
        let kept: Vec<_> = self.engines.drain(which.clone()).collect();
        drop(kept);
        if let (Home::ForgetfulFile, Some(folder)) = (self.home, &self.folder) {
            std::fs::remove_file(folder.path().join("ledger")).unwrap();
        }
        for at in which {
            let engine = self.engine();
            engine.set_shadow(self.shadow.clone());
            engine.set_exempt(exempt(self.exempt));
            for record in records.clone().into_iter().rev() {
                // Two that are minted may be one stranger yet to come.
                engine.put_keys(vec![record]).unwrap();
            }
            for (token, session) in &self.sessions {
                let digest = engine.secret().digest_token(TOKENS[*token].as_bytes());
                engine.put_session(digest, *session);
            }
            self.engines.insert(at, engine);
        }
    }

    pub(crate) fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        self.steps += 1;
        self.clock.set(self.at);
        match op {
            Op::Ask(asked) => self.ask(&self.asked(asked))?,
            Op::Batch(asked) => {
                let asks: Vec<_> = asked.iter().map(|asked| self.asked(asked)).collect();
                self.batch(&asks)?;
            }
            Op::Guess { from, times } => {
                for _ in 0..*times {
                    self.ask(&guess(from.ip()))?;
                }
            }
            Op::Preflight(origin) => {
                let expected = self.oracle.lists_origin(ORIGINS[*origin], self.at);
                let got = self
                    .door()
                    .lists_origin(ORIGINS[*origin].as_bytes(), self.at);
                prop_assert_eq!(expected, got, "{:?}", ORIGINS[*origin]);
            }
            Op::Mint(policy) => self.mint(*policy),
            Op::Put(key, number) => self.put(&SECRETS[*key], policy(*number)),
            Op::Set(key, number) => self.update(*key, |old| *old = policy(*number)),
            Op::SetState(key, state) => self.update(*key, |policy| policy.state = *state),
            Op::SetLimit(key, units) => {
                self.update(*key, |policy| policy.hourly_limit = units.map(limit));
            }
            Op::Remove(key) => self.remove(*key),
            Op::AddSession {
                token,
                project,
                user,
                lives_s,
            } => self.add_session(*token, *project, *user, *lives_s),
            Op::EndSession(token) => {
                for engine in &self.engines {
                    let digest = engine.secret().digest_token(TOKENS[*token].as_bytes());
                    engine.end_session(&digest);
                }
                self.sessions.remove(token);
                self.change(&Change::EndSession(TOKENS[*token].into()));
            }
            Op::Purge => {
                self.engines.iter().for_each(|engine| {
                    engine.purge_sessions(self.at);
                });
                self.oracle.purge(self.at);
                let at = self.at;
                self.sessions
                    .retain(|_, session| session.expires_at.is_none_or(|end| at < end));
            }
            Op::Unblock(from) => {
                self.door().unblock(from.ip(), self.at);
                self.change(&Change::Unblock(from.ip()));
            }
            Op::Exempt(number) => {
                self.exempt = *number;
                for engine in &self.engines {
                    engine.set_exempt(exempt(*number));
                }
                self.oracle.set_exempt(EXEMPT[*number]);
            }
            Op::Clock(moved) => {
                self.at = moved.from(self.at);
                self.clock.set(self.at);
            }
            Op::Reopen(which) => self.reopen(*which..which + 1),
            Op::ReopenAll => self.reopen(0..self.engines.len()),
            Op::Shadow(rules) => self.put_in_shadow(rules),
            Op::Reclaim => self.engines.iter().for_each(Engine::reclaim),
        }
        if self.steps.is_multiple_of(RINGS_EVERY) {
            self.compare_rings()?;
        } else {
            let hour = self.at / 3600;
            self.compare_use(hour..hour + 1)?;
        }
        if matches!(op, Op::Reopen(_) | Op::ReopenAll | Op::Unblock(_)) {
            self.compare_blocks()?;
        }
        Ok(())
    }

    /// Puts in shadow what can be.
    fn put_in_shadow(&mut self, rules: &[(Whom, usize)]) {
        self.shadow = ShadowPolicy::default();
        let mut taken = Vec::new();
        for (whom, reason) in rules {
            let scope = match *whom {
                Whom::All => ShadowScope::All,
                Whom::Project(project) => ShadowScope::Project(PROJECTS[project].parse().unwrap()),
                Whom::Key(key) => ShadowScope::Key(self.secret(key).id()),
            };
            let reason = Reason::ALL[*reason];
            if self.shadow.add(scope, reason).is_ok() {
                taken.push((scope, reason));
            }
        }
        for engine in &self.engines {
            engine.set_shadow(self.shadow.clone());
        }
        self.oracle.set_shadow(taken);
    }

    fn add_session(&mut self, token: usize, project: usize, user: usize, lives_s: Option<u64>) {
        let record = SessionRecord {
            project: PROJECTS[project].parse().unwrap(),
            user: ["u1", "u2", "u3"][user].parse().unwrap(),
            expires_at: lives_s.map(|lives_s| self.at + lives_s),
        };
        for engine in &self.engines {
            let digest = engine.secret().digest_token(TOKENS[token].as_bytes());
            engine.put_session(digest, record);
        }
        self.sessions.insert(token, record);
        let session = Session {
            token: TOKENS[token].into(),
            record,
        };
        let Ok(_) = self.oracle.add_session(&session);
    }

    /// What every key has used in each hour that a ring may hold.
    pub(crate) fn compare_rings(&self) -> Result<(), TestCaseError> {
        self.compare_use(hours_of_ring(self.at))
    }

    /// What every key has used, by every engine.
    fn compare_use(&self, hours: std::ops::Range<u64>) -> Result<(), TestCaseError> {
        for key in 0..KEYS + self.minted.len() {
            let id = self.secret(key).id();
            let known = self.oracle.known(id);
            for hour in hours.clone() {
                prop_assert!(
                    self.agrees(known, id, hour),
                    "key {} has used {:?} in hour {}, but {:?}",
                    key,
                    known.and_then(|known| expected_use(known, hour)),
                    hour,
                    self.engines
                        .iter()
                        .map(|engine| engine.used(id, Hour::of(hour * 3600)))
                        .collect::<Vec<_>>()
                );
            }
        }
        Ok(())
    }

    /// How many addresses are blocked, by every engine.
    pub(crate) fn compare_blocks(&self) -> Result<(), TestCaseError> {
        let expected = self.oracle.blocked(self.at);
        for engine in &self.engines {
            prop_assert_eq!(expected, engine.stats(self.at).blocked_addresses);
        }
        Ok(())
    }
}

/// The oracle counts on where the engine's counter stops.
fn expected_use(known: &KnownKey, hour: u64) -> Option<u64> {
    let used = known.used(hour)?;
    Some(used.min(Limit::MAX.units() + 1))
}

/// Every hour that a ring may hold beside the present one, and those that meet
/// them in their places.
fn hours_of_ring(at: u64) -> std::ops::Range<u64> {
    let now = at / 3600;
    now.saturating_sub(9)..now + 9
}

/// What the engine is asked.
fn request(ask: &Ask) -> Request<'_> {
    let is_repeated = |header: &Option<String>| header.as_deref() == Some(REPEATED);
    let mut request = EngineSubject::request(ask);
    if is_repeated(&ask.api_key) {
        request = request.api_key_header(Credential::Repeated);
    }
    if is_repeated(&ask.bearer) {
        request = request.bearer_header(Credential::Repeated);
    }
    request
}

fn exempt(number: usize) -> CidrList {
    CidrList::parse(EXEMPT[number]).unwrap()
}

fn guess(ip: std::net::IpAddr) -> Ask {
    Ask {
        api_key: Some(SECRETS[KEYS].expose().into()),
        ip,
        origin: None,
        bearer: None,
        needs_user: false,
        cost: 1,
    }
}
