//! Every trace, through the oracle, the engine, and the engine behind HTTP.
//!
//! Besides those of this project, the files of every directory named in
//! `TK_TRACES` (separated as in `PATH`) are run.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use std::collections::BTreeSet;

use engine::{Reason, Verdict};
use tests::oracle::Oracle;
use tests::over_http::OverHttp;
use tests::traces::{all_agree, files, nothing_left_out, read};
use trace::{
    Answer, Applied, Ask, Change, EngineSubject, EngineSubjectError, Key, Session, StepKind,
    Subject, Trace,
};

#[test]
fn the_oracle_agrees_with_every_trace() {
    all_agree::<Oracle>(nothing_left_out);
}

#[test]
fn the_engine_agrees_with_every_trace() {
    all_agree::<EngineSubject>(nothing_left_out);
}

/// The engine, explaining each request before it decides about it.
struct Explaining(EngineSubject);

impl Subject for Explaining {
    type Error = EngineSubjectError;

    fn build(trace: &Trace) -> Result<Self, Self::Error> {
        EngineSubject::build(trace).map(Self)
    }

    fn add_key(&mut self, key: &Key) -> Result<Applied, Self::Error> {
        self.0.add_key(key)
    }

    fn add_session(&mut self, session: &Session) -> Result<Applied, Self::Error> {
        self.0.add_session(session)
    }

    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, Self::Error> {
        self.0.change(at, change)
    }

    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, Self::Error> {
        let explained = self.0.engine().explain_at(&EngineSubject::request(ask), at);
        let decided = self.0.decide(at, ask)?;
        assert_eq!(decided, Some(Answer::from(explained.decision)));
        let refused = explained
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Refused);
        assert_eq!(
            refused.count(),
            usize::from(!explained.decision.is_allowed())
        );
        for check in explained.checks {
            assert_eq!(
                check.because.is_empty(),
                check.verdict == Verdict::NotReached
            );
        }
        Ok(decided)
    }
}

#[test]
fn every_step_is_explained_as_it_is_decided() {
    all_agree::<Explaining>(nothing_left_out);
}

#[test]
fn the_engine_behind_http_agrees_with_every_trace() {
    all_agree::<OverHttp>(|file, report| {
        // Refusals do not name their key; every step can be sent.
        assert_eq!(report.inexpressible, 0, "{}", file.display());
    });
}

#[test]
fn the_traces_expect_every_reason_and_show_every_member() {
    let mut reasons = BTreeSet::new();
    let mut shown = [false; 9];
    for file in files() {
        for step in read(&file).steps {
            let StepKind::Decide { expect, .. } = step.kind else {
                continue;
            };
            reasons.extend(expect.reason.map(Reason::as_str));
            let members = [
                expect.status.is_some(),
                expect.reason.is_some(),
                expect.key.is_some(),
                expect.user.is_some(),
                expect.limit.is_some(),
                expect.remaining.is_some(),
                expect.reset.is_some(),
                expect.retry_after.is_some(),
                expect.allow_origin.is_some(),
            ];
            for (shown, member) in shown.iter_mut().zip(members) {
                *shown |= member;
            }
        }
    }
    assert_eq!(reasons.len(), Reason::ALL.len(), "{reasons:?}");
    assert_eq!(shown, [true; 9]);
}
