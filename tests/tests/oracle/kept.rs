//! Cases in which the twins ever told apart, as what happened and not as a seed:
//! a seed would mean another case as soon as something else may happen.

use tests::ips::IPS;

use crate::ops::{Asked, Header, Move, Op, Whom};
use crate::twins::Home;
use crate::world::From;
use crate::{Case, run};

fn asked(key: usize) -> Asked {
    assert_eq!(IPS[0], "198.51.100.7", "no exempt address");
    Asked {
        header: Header::Key(key),
        from: From::Listed(0),
        origin: None,
        bearer: None,
        needs_user: false,
        cost: 1,
    }
}

fn hours(hours: i64) -> Op {
    Op::Clock(Move::Hours(hours))
}

#[track_caller]
fn agree(ops: Vec<Op>) {
    let case: Case = (Home::Memory, (300, 60), ops);
    if let Err(error) = run(&case) {
        panic!("{error}");
    }
}

/// What is removed in an hour that has not come yet rests from when the clock is
/// first seen before it.
#[test]
fn a_key_removed_in_an_hour_that_the_clock_left_again() {
    agree(vec![
        Op::Ask(asked(4)),
        Op::Remove(4),
        hours(-1),
        Op::Put(0, 0),
        Op::Clock(Move::Edge(3600, 0)),
        hours(8),
        Op::Mint(0),
        Op::Put(4, 1),
    ]);
}

/// The same, where what was put in meanwhile was there already.
#[test]
fn a_key_removed_before_another_policy_for_one_that_is_there() {
    agree(vec![
        Op::Shadow(vec![(Whom::All, 12)]),
        Op::Batch(vec![asked(4)]),
        hours(2),
        hours(5),
        Op::Remove(4),
        Op::Put(5, 0),
        hours(-1),
        Op::Put(5, 0),
        hours(9),
        Op::Mint(0),
        hours(-6),
        Op::Put(4, 0),
    ]);
}
