//! Every trace, through the C interface: the same calls that a C program
//! makes, and all of an answer read from the struct that it gets.
//!
//! Besides those of this project, the files of every directory named in
//! `TK_TRACES` (separated as in `PATH`) are run.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![cfg(not(miri))]

#[path = "support/mod.rs"]
mod support;

use support::subject::{Batched, Lone};
use tests::traces::{all_agree, nothing_left_out};

#[test]
fn the_c_interface_agrees_with_every_trace() {
    all_agree::<Lone>(nothing_left_out);
}

#[test]
fn batches_of_one_agree_with_every_trace() {
    all_agree::<Batched>(nothing_left_out);
}
