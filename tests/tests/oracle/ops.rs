//! What may happen in the world, and how often.
//!
//! Each operation comes of a number ([`Op::from_seed`]). proptest draws the
//! numbers, and leaves those out without which a case fails too; a tree of its
//! own for every part of an operation takes as long as all that is compared.

use engine::{KeyState, Limit, Reason};
use fastrand::Rng;
use tests::ips::IPS;

use crate::world::{EXEMPT, FIRST_KEYS, From, KEYS, MINTED, NETS, ORIGINS, TOKENS};

/// What the `api-key` header says.
#[derive(Clone, Debug)]
pub(crate) enum Header {
    Absent,
    Blank,
    /// A key of the world, a minted one, or a stranger.
    Key(usize),
    /// A key with one byte replaced.
    Mutated(usize, usize, u8),
    /// A key cut short or with something behind it.
    Cut(usize, usize),
    Lengthened(usize),
    /// It comes twice.
    Repeated,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) header: Header,
    pub(crate) from: From,
    pub(crate) origin: Option<usize>,
    pub(crate) bearer: Option<usize>,
    pub(crate) needs_user: bool,
    pub(crate) cost: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Ask(Asked),
    /// Several at once.
    Batch(Vec<Asked>),
    /// Several guesses, so that blocks are common.
    Guess {
        from: From,
        times: u8,
    },
    Preflight(usize),
    Mint(usize),
    Put(usize, usize),
    /// The same by an update.
    Set(usize, usize),
    SetState(usize, KeyState),
    SetLimit(usize, Option<u64>),
    Remove(usize),
    AddSession {
        token: usize,
        project: usize,
        user: usize,
        lives_s: Option<u64>,
    },
    EndSession(usize),
    Purge,
    Unblock(From),
    /// Other addresses are exempt.
    Exempt(usize),
    Clock(Move),
    /// One of the engines over a ledger's file ends, and another begins.
    Reopen(usize),
    /// All of them do.
    ReopenAll,
    /// What was replaced and is no longer read is freed.
    Reclaim,
    /// Refusals are put in shadow, by their places in the list of reasons.
    Shadow(Vec<(Whom, usize)>),
}

/// Whom a refusal is in shadow for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom {
    Key(usize),
    Project(usize),
    All,
}

/// Where the clock goes.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    By(i64),
    /// To the edge of the next span of so many seconds, and a little beside.
    Edge(u64, i64),
    /// By whole hours.
    Hours(i64),
}

impl Move {
    pub(crate) fn from(&self, now: u64) -> u64 {
        match *self {
            Self::By(seconds) => now.saturating_add_signed(seconds),
            Self::Edge(span, beside) => (now / span * span + span).saturating_add_signed(beside),
            Self::Hours(hours) => now.saturating_add_signed(hours * 3600),
        }
    }
}

type Draw<T> = fn(&mut Rng) -> T;

/// One of some choices, each as often as the number beside it says.
fn one_of<T>(rng: &mut Rng, choices: &[(u32, Draw<T>)]) -> T {
    let mut left = rng.u32(0..choices.iter().map(|(weight, _)| weight).sum());
    for (weight, draw) in choices {
        match left.checked_sub(*weight) {
            None => return draw(rng),
            Some(rest) => left = rest,
        }
    }
    unreachable!("less than all weights together")
}

/// One below an end, so often out of a hundred.
fn sometimes(rng: &mut Rng, percent: u32, end: usize) -> Option<usize> {
    (rng.u32(0..100) < percent).then(|| rng.usize(0..end))
}

fn key(rng: &mut Rng) -> usize {
    rng.usize(0..KEYS + MINTED)
}

impl Header {
    fn draw(rng: &mut Rng) -> Self {
        one_of(
            rng,
            &[
                (20, |rng| Self::Key(key(rng))),
                (2, |rng| Self::Key(KEYS + MINTED + rng.usize(0..2))),
                (1, |_| Self::Absent),
                (1, |_| Self::Blank),
                (1, |rng| {
                    Self::Mutated(key(rng), rng.usize(0..56), rng.u8(b' '..=b'~'))
                }),
                (1, |rng| Self::Cut(key(rng), rng.usize(0..56))),
                (1, |rng| Self::Lengthened(key(rng))),
                (1, |_| Self::Repeated),
            ],
        )
    }
}

impl From {
    fn draw(rng: &mut Rng) -> Self {
        one_of(
            rng,
            &[
                (4, |rng| Self::Listed(rng.usize(0..IPS.len()))),
                (1, |rng| Self::Within(rng.usize(0..NETS.len()), rng.u64(..))),
            ],
        )
    }
}

impl Asked {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            header: Header::draw(rng),
            from: From::draw(rng),
            origin: sometimes(rng, 40, ORIGINS.len()),
            bearer: sometimes(rng, 40, TOKENS.len()),
            needs_user: rng.u32(0..4) == 0,
            cost: one_of(
                rng,
                &[
                    (6, |_| 1),
                    (2, |_| 0),
                    (2, |rng| rng.u32(2..6)),
                    (1, |_| u32::MAX),
                    (1, |rng| rng.u32(..)),
                ],
            ),
        }
    }
}

impl Whom {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u32(0..3) {
            0 => Self::All,
            1 => Self::Project(rng.usize(0..2)),
            _ => Self::Key(key(rng)),
        }
    }
}

impl Move {
    fn draw(rng: &mut Rng) -> Self {
        one_of(
            rng,
            &[
                (8, |rng| Self::By(rng.i64(0..60))),
                (2, |rng| Self::By(rng.i64(-60..0))),
                (3, |rng| Self::Edge(3600, rng.i64(-1..=1))),
                (4, |rng| {
                    Self::Edge([1, 25, 300][rng.usize(0..3)], rng.i64(-1..=1))
                }),
                (2, |rng| Self::Hours(rng.i64(-9..=10))),
                (1, |rng| Self::By(rng.i64(-400..400))),
            ],
        )
    }
}

fn state(rng: &mut Rng) -> KeyState {
    one_of(
        rng,
        &[
            (8, |_| KeyState::Active),
            (4, |_| KeyState::Disabled),
            (1, |_| KeyState::Revoked),
        ],
    )
}

fn units(rng: &mut Rng) -> Option<u64> {
    one_of(
        rng,
        &[
            (4, |rng| Some(rng.u64(0..12))),
            (1, |_| None),
            (1, |_| Some(u64::from(u32::MAX))),
            (1, |_| Some(Limit::MAX.units())),
        ],
    )
}

/// Seconds until a session ends, if it does.
fn lives_s(rng: &mut Rng) -> Option<u64> {
    one_of(
        rng,
        &[
            (3, |_| None),
            (1, |_| Some(0)),
            (1, |rng| Some(rng.u64(1..100))),
            (1, |_| Some(3600)),
        ],
    )
}

impl Op {
    /// How many requests it is, or changes.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Batch(asked) => asked.len() as u64,
            Self::Guess { times, .. } => u64::from(*times),
            _ => 1,
        }
    }

    /// Anything that may happen: of one number always the same.
    pub(crate) fn from_seed(seed: u64) -> Self {
        one_of(
            &mut Rng::with_seed(seed),
            &[
                (60, |rng| Self::Ask(Asked::draw(rng))),
                (2, |rng| {
                    let times = rng.usize(1..40);
                    Self::Batch((0..times).map(|_| Asked::draw(rng)).collect())
                }),
                (6, |rng| Self::Guess {
                    from: From::draw(rng),
                    times: rng.u8(1..5),
                }),
                (1, |rng| Self::Preflight(rng.usize(0..ORIGINS.len()))),
                (1, |rng| Self::Mint(rng.usize(0..KEYS))),
                (2, |rng| {
                    Self::Put(rng.usize(FIRST_KEYS..KEYS), rng.usize(0..KEYS))
                }),
                (1, |rng| Self::Put(rng.usize(0..KEYS), rng.usize(0..KEYS))),
                (1, |rng| Self::Set(key(rng), rng.usize(0..KEYS))),
                (4, |rng| Self::SetState(key(rng), state(rng))),
                (5, |rng| Self::SetLimit(key(rng), units(rng))),
                (1, |rng| Self::Remove(key(rng))),
                (4, |rng| Self::AddSession {
                    token: rng.usize(0..4),
                    project: rng.usize(0..2),
                    user: rng.usize(0..3),
                    lives_s: lives_s(rng),
                }),
                (2, |rng| Self::EndSession(rng.usize(0..TOKENS.len()))),
                (1, |_| Self::Purge),
                (2, |rng| Self::Unblock(From::draw(rng))),
                (1, |rng| Self::Exempt(rng.usize(0..EXEMPT.len()))),
                (16, |rng| Self::Clock(Move::draw(rng))),
                (1, |rng| Self::Reopen(rng.usize(0..2))),
                (1, |_| Self::ReopenAll),
                (1, |_| Self::Reclaim),
                (2, |rng| {
                    let rules = rng.usize(0..12);
                    let rule = |rng: &mut Rng| (Whom::draw(rng), rng.usize(0..Reason::ALL.len()));
                    Self::Shadow((0..rules).map(|_| rule(rng)).collect())
                }),
            ],
        )
    }
}
