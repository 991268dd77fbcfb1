//! What may happen in the world, and how often.

use engine::{KeyState, Limit, Reason};
use proptest::prelude::*;
use tests::ips::IPS;

use crate::world::{FIRST_KEYS, From, KEYS, MINTED, NETS, ORIGINS, TOKENS};

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

fn header() -> impl Strategy<Value = Header> {
    let key = || 0..KEYS + MINTED;
    prop_oneof![
        20 => key().prop_map(Header::Key),
        2 => (KEYS + MINTED..KEYS + MINTED + 2).prop_map(Header::Key),
        1 => Just(Header::Absent),
        1 => Just(Header::Blank),
        1 => (key(), 0_usize..56, b' '..=b'~').prop_map(|(key, at, byte)| Header::Mutated(key, at, byte)),
        1 => (key(), 0_usize..56).prop_map(|(key, len)| Header::Cut(key, len)),
        1 => key().prop_map(Header::Lengthened),
    ]
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        4 => (0..IPS.len()).prop_map(From::Listed),
        1 => (0..NETS.len(), any::<u64>()).prop_map(|(net, low)| From::Within(net, low)),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let cost = prop_oneof![
        6 => Just(1),
        2 => Just(0),
        2 => 2_u32..6,
        1 => Just(u32::MAX),
        1 => any::<u32>(),
    ];
    (
        header(),
        from(),
        prop::option::weighted(0.4, 0..ORIGINS.len()),
        prop::option::weighted(0.4, 0..TOKENS.len()),
        prop::bool::weighted(0.25),
        cost,
    )
        .prop_map(|(header, from, origin, bearer, needs_user, cost)| Asked {
            header,
            from,
            origin,
            bearer,
            needs_user,
            cost,
        })
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![
        1 => Just(Whom::All),
        1 => (0_usize..2).prop_map(Whom::Project),
        1 => (0..KEYS + MINTED).prop_map(Whom::Key),
    ]
}

fn moved() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0_i64..60).prop_map(Move::By),
        2 => (-60_i64..0).prop_map(Move::By),
        3 => (-1_i64..=1).prop_map(|beside| Move::Edge(3600, beside)),
        4 => (prop_oneof![Just(1_u64), Just(25), Just(300)], -1_i64..=1)
            .prop_map(|(span, beside)| Move::Edge(span, beside)),
        2 => (-9_i64..=10).prop_map(Move::Hours),
        1 => (-400_i64..400).prop_map(Move::By),
    ]
}

/// Anything that may happen.
pub(crate) fn op() -> impl Strategy<Value = Op> {
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
    let lives_s = prop::option::of(prop_oneof![Just(0_u64), 1_u64..100, Just(3600)]);
    let key = || 0..KEYS + MINTED;
    prop_oneof![
        60 => asked().prop_map(Op::Ask),
        2 => prop::collection::vec(asked(), 1..40).prop_map(Op::Batch),
        6 => (from(), 1_u8..5).prop_map(|(from, times)| Op::Guess { from, times }),
        1 => (0..ORIGINS.len()).prop_map(Op::Preflight),
        1 => (0..KEYS).prop_map(Op::Mint),
        2 => (FIRST_KEYS..KEYS, 0..KEYS).prop_map(|(key, policy)| Op::Put(key, policy)),
        1 => (0..KEYS, 0..KEYS).prop_map(|(key, policy)| Op::Put(key, policy)),
        1 => (key(), 0..KEYS).prop_map(|(key, policy)| Op::Set(key, policy)),
        4 => (key(), state).prop_map(|(key, state)| Op::SetState(key, state)),
        5 => (key(), units).prop_map(|(key, units)| Op::SetLimit(key, units)),
        1 => key().prop_map(Op::Remove),
        4 => (0_usize..4, 0_usize..2, 0_usize..3, lives_s).prop_map(|(token, project, user, lives_s)| {
            Op::AddSession { token, project, user, lives_s }
        }),
        2 => (0..TOKENS.len()).prop_map(Op::EndSession),
        1 => Just(Op::Purge),
        2 => from().prop_map(Op::Unblock),
        16 => moved().prop_map(Op::Clock),
        1 => (0_usize..2).prop_map(Op::Reopen),
        1 => Just(Op::ReopenAll),
        1 => Just(Op::Reclaim),
        2 => prop::collection::vec((whom(), 0..Reason::ALL.len()), 0..12).prop_map(Op::Shadow),
    ]
}
