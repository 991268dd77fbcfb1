//! Everything that decides about keys of one number, set up when it is first
//! wanted and kept for all rows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Deref;
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::Engine;

use crate::contest::Contest;
use crate::figures::{Figures, is_quick};
use crate::keys::{Drawn, Keys};
use crate::kinds::{GovernorAlone, KINDS, Kind, WHOLE};
use crate::row::{Draw, Row, State};
use crate::runner::{Runner, Stage};
use crate::subject::{self, SECRET, Scene, Subject, Way};

/// A peer on its stage.
type PeerStage<'k> = Rc<RefCell<Stage<'k, Box<dyn Subject>>>>;

/// The engine and its peers, for some keys.
pub struct Field<'k> {
    keys: &'k Keys,
    engine: RefCell<Stage<'k, Engine>>,
    /// Peers by what they are made of.
    peers: RefCell<BTreeMap<String, PeerStage<'k>>>,
    /// The kinds that are tried.
    candidates: Vec<Kind>,
    /// Of each row, how many times the hash each kind took, fastest first.
    tried: RefCell<BTreeMap<String, Vec<(f64, Kind)>>>,
}

/// Names of lanes.
pub mod lanes {
    /// The engine, asked as a user would.
    pub const ENGINE: &str = "engine";
    /// The engine, given the time.
    pub const AT_TIME: &str = "decide_at";
    /// The engine through its C interface.
    pub const ABI: &str = "abi";
    /// The hash of the same keys.
    pub const HASH: &str = "hash";
    /// The fastest peer.
    pub const PEER: &str = "peer";
    /// The same with one lock around each map.
    pub const WHOLE: &str = "mutex";
    /// The engine with a million keys.
    pub const MILLION: &str = "million";
    /// A limiter alone.
    pub const GOVERNOR: &str = "governor";
}

impl<'k> Field<'k> {
    /// A field over the keys, on which these kinds of peer may run; where setting
    /// them up takes long, only the first for each map of keys.
    #[must_use]
    pub fn new(keys: &'k Keys, candidates: Vec<Kind>) -> Self {
        let scene = Scene::new(keys, State::Open);
        let candidates = if keys.all().len() > LARGE {
            first_of_each_map(candidates)
        } else {
            candidates
        };
        Self {
            keys,
            engine: RefCell::new(Stage::new(scene, subject::engine)),
            peers: RefCell::default(),
            candidates,
            tried: RefCell::default(),
        }
    }

    /// All kinds, or the few that a quick run tries.
    #[must_use]
    pub fn all_kinds() -> Vec<Kind> {
        let step = if is_quick() { 8 } else { 1 };
        KINDS.into_iter().step_by(step).collect()
    }

    /// The engine asked in some way.
    pub fn engine<'a>(
        &'a self,
        row: Row,
        way: Way,
        requests: &'a [Drawn],
    ) -> impl FnMut(u64) -> Duration + 'a
    where
        'k: 'a,
    {
        run(&self.engine, Runner::new(row, way, requests))
    }

    /// A kind of peer.
    pub fn peer<'a>(
        &'a self,
        kind: Kind,
        row: Row,
        requests: &'a [Drawn],
    ) -> impl FnMut(u64) -> Duration + 'a
    where
        'k: 'a,
    {
        run(self.stage(kind), Runner::new(row, Way::Lone, requests))
    }

    fn stage(&self, kind: Kind) -> PeerStage<'k> {
        let mut peers = self.peers.borrow_mut();
        let stage = peers.entry(kind.name()).or_insert_with(|| {
            let scene = Scene::new(self.keys, State::Open);
            Rc::new(RefCell::new(Stage::new(scene, kind.set_up)))
        });
        Rc::clone(stage)
    }

    /// The contest of a row: the engine, the bare hash, the fastest peer, and
    /// what else stands beside.
    pub fn contest<'a>(
        &'a self,
        row: Row,
        requests: &'a [Drawn],
        figures: &mut Figures,
    ) -> Contest<'a>
    where
        'k: 'a,
    {
        let peer = self.fastest(row, figures);
        let mut contest = Contest::default();
        contest.lane(lanes::ENGINE, "", self.engine(row, Way::Lone, requests));
        contest.lane(lanes::AT_TIME, "", self.engine(row, Way::AtTime, requests));
        contest.lane(lanes::HASH, "", hash(self.keys));
        contest.lane(lanes::PEER, peer.name(), self.peer(peer, row, requests));
        if self.keys.all().len() <= LARGE {
            let whole = self.peer(WHOLE, row, requests);
            contest.lane(lanes::WHOLE, WHOLE.name(), whole);
        }
        if matches!(row, Row::Allowed | Row::Limited) {
            let stage = Stage::new(Scene::new(self.keys, row.state()), |scene| {
                GovernorAlone::new(scene)
            });
            let stage = RefCell::new(stage);
            let mut runner = Runner::new(row, Way::Lone, requests);
            contest.lane(lanes::GOVERNOR, "", move |decisions| {
                runner.run(&mut stage.borrow_mut(), decisions)
            });
        }
        contest
    }

    /// The engine asked about several at once, beside the hash, the peer and
    /// itself.
    pub fn batch<'a>(
        &'a self,
        size: usize,
        requests: &'a [Drawn],
        figures: &mut Figures,
    ) -> Contest<'a>
    where
        'k: 'a,
    {
        let row = Row::Allowed;
        let peer = self.fastest(row, figures);
        let mut contest = Contest::default();
        let batch = self.engine(row, Way::Batch(size), requests);
        contest.lane(lanes::ENGINE, "", batch);
        contest.lane("lone", "", self.engine(row, Way::Lone, requests));
        contest.lane(lanes::HASH, "", hash(self.keys));
        contest.lane(lanes::PEER, peer.name(), self.peer(peer, row, requests));
        contest
    }

    /// The fastest kind of peer in a row: all are tried for a short while, each
    /// beside the hash.
    pub fn fastest(&self, row: Row, figures: &mut Figures) -> Kind {
        let name = row.to_string();
        if !self.tried.borrow().contains_key(&name) {
            self.try_all(row.state(), figures);
        }
        let tried = self.tried.borrow();
        let fastest = tried.get(&name).and_then(|tried| tried.first());
        fastest.map_or(KINDS[0], |(_, kind)| *kind)
    }

    /// The candidates, as far as they were tried the fastest for allowed
    /// requests first.
    #[must_use]
    pub fn ranked(&self) -> Vec<Kind> {
        let tried = self.tried.borrow();
        match tried.get(&Row::Allowed.to_string()) {
            Some(tried) => tried.iter().map(|(_, kind)| *kind).collect(),
            None => self.candidates.clone(),
        }
    }

    /// Tries every candidate in every row of a state.
    fn try_all(&self, state: State, figures: &mut Figures) {
        let size = self.keys.all().len();
        let rows = Row::ALL.into_iter().filter(|row| row.state() == state);
        let rows: Vec<_> = rows
            .filter(|row| size <= LARGE || *row == Row::Allowed)
            .map(|row| (row, self.keys.requests(row, Draw::Uniform)))
            .collect();
        let mut tried = self.tried.borrow_mut();
        for kind in &self.candidates {
            let stage = Stage::new(Scene::new(self.keys, state), kind.set_up);
            let stage = RefCell::new(stage);
            for (row, requests) in &rows {
                let mut contest = Contest::default();
                let runner = Runner::new(*row, Way::Lone, requests);
                contest.lane(lanes::PEER, "", run(&stage, runner));
                contest.lane(lanes::HASH, "", hash(self.keys));
                for _ in 0..TRIAL_ROUNDS {
                    contest.round(TRIAL_DECISIONS);
                }
                let ns: Vec<f64> = contest.medians().map(|(_, ns)| ns).collect();
                let name = format!("tried/{size}/{row}");
                figures.add_of(&name, ns[0], "ns", &kind.name());
                let of_row = tried.entry(row.to_string()).or_default();
                of_row.push((ns[0] / ns[1], *kind));
            }
        }
        for of_row in tried.values_mut() {
            of_row.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
    }
}

/// Of each map for the keys the first.
#[must_use]
pub fn first_of_each_map(kinds: Vec<Kind>) -> Vec<Kind> {
    let mut first: Vec<Kind> = Vec::new();
    for kind in kinds {
        if first.iter().all(|there| there.keys != kind.keys) {
            first.push(kind);
        }
    }
    first
}

/// With more keys than these, which take long to set up, only the most
/// promising is tried, and only allowed requests are measured.
const LARGE: usize = 1_000_000;
/// Rounds and decisions in which each kind of peer is tried.
const TRIAL_ROUNDS: usize = 5;
const TRIAL_DECISIONS: u64 = 50_000;

/// Runs on a stage that others use too; first once over all requests, so that
/// what is timed afterwards touches nothing for the first time.
fn run<'a, 'k: 'a, S: Subject + 'a>(
    stage: impl Deref<Target = RefCell<Stage<'k, S>>> + 'a,
    mut runner: Runner<'a>,
) -> impl FnMut(u64) -> Duration + 'a {
    let mut warm = false;
    move |decisions| {
        let stage = &mut *stage.borrow_mut();
        if !std::mem::replace(&mut warm, true) {
            runner.warm_up(stage);
        }
        runner.run(stage, decisions)
    }
}

/// Hashes keys, one after the other as they lie in memory.
pub fn hash(keys: &Keys) -> impl FnMut(u64) -> Duration + use<'_> {
    let mut upcoming = keys.all().iter().cycle();
    move |count| {
        let start = Instant::now();
        for _ in 0..count {
            black_box(upcoming.next().map(|key| blake3::keyed_hash(&SECRET, key)));
        }
        start.elapsed()
    }
}
