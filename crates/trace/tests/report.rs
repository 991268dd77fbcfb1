//! What a replay finds, and that it finds it: a runner that never reports a
//! difference would hold nobody to anything.

#![forbid(unsafe_code)]

use std::convert::Infallible;

use engine::Reason;
use trace::{
    Answer, Applied, Ask, Change, EngineSubject, Key, Session, Subject, Totals, Trace, replay,
};

const TRACE: &str = r#"{"trace": 1,
    "keys": [
        {"name": "k1", "secret": "tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06", "hourly_limit": 5},
        {"secret": "tk_live_Zs8IQ9Y7aJZqhB6baeCN6Zj4a3dDVhYRnKTbxTNJFo0b9RMP"}
    ],
    "sessions": [{"token": "t1", "user": "u1"}, {"token": "t2"}],
    "steps": [
        {"at": 1790000000,
         "request": {"ip": "::1", "bearer": "t1", "api_key": "tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06"},
         "expect": EXPECT},
        {"at": 1790000001,
         "request": {"ip": "::1", "bearer": "t2", "api_key": "tk_live_Zs8IQ9Y7aJZqhB6baeCN6Zj4a3dDVhYRnKTbxTNJFo0b9RMP"},
         "expect": {"reason": "allowed", "key": null, "user": null, "limit": null, "remaining": null,
                    "reset": null, "retry_after": null, "allow_origin": false}},
        {"at": 1790000001, "do": {"revoke": "k1"}}
    ]}"#;

fn trace(expect: &str) -> Trace {
    Trace::parse(TRACE.replace("EXPECT", expect).as_bytes())
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_as_expected_is_not_reported() {
    let report = replay::<EngineSubject>(&trace(
        r#"{"status": 200, "reason": "allowed", "key": "k1", "user": "u1", "limit": 5,
            "remaining": 4, "reset": 2800, "retry_after": null, "allow_origin": false}"#,
    ))
    .unwrap();
    assert_eq!(report.differing, []);
    assert_eq!(
        (report.steps, report.unseen, report.inexpressible),
        (3, 0, 0)
    );
}

#[test]
fn each_member_that_differs_is_reported() {
    for (expect, member, expected, got) in [
        (r#"{"status": 401}"#, "status", "401", "200"),
        (
            r#"{"reason": "hourly_limit"}"#,
            "reason",
            "\"hourly_limit\"",
            "\"allowed\"",
        ),
        (r#"{"key": null}"#, "key", "null", "\"k1\""),
        (r#"{"user": "u2"}"#, "user", "\"u2\"", "\"u1\""),
        (r#"{"limit": null}"#, "limit", "null", "5"),
        (r#"{"remaining": 5}"#, "remaining", "5", "4"),
        (r#"{"reset": 2799}"#, "reset", "2799", "2800"),
        (r#"{"retry_after": 0}"#, "retry_after", "0", "null"),
        (r#"{"allow_origin": true}"#, "allow_origin", "true", "false"),
    ] {
        let report = replay::<EngineSubject>(&trace(expect)).unwrap();
        let [difference] = report.differing.as_slice() else {
            panic!("{expect}: {:?}", report.differing);
        };
        assert_eq!((difference.step, difference.at), (1, 1_790_000_000));
        assert_eq!(difference.members, [(member, expected.into(), got.into())]);
    }
}

#[test]
fn a_report_is_one_block_a_step_and_one_line_for_all() {
    let report = replay::<EngineSubject>(&trace(r#"{"status": 401, "limit": 6}"#)).unwrap();
    let mut text = Vec::new();
    report.write_differing("a.json", &mut text).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "a.json: step 1 at 1790000000 differs\n  status: expected 401, got 200\n  limit: expected 6, got 5\n"
    );
    let mut totals = Totals::default();
    totals.add(&report);
    assert_eq!(totals.to_string(), "1 trace, 3 steps: 1 differs");
    totals.add(&report);
    assert_eq!(totals.to_string(), "2 traces, 6 steps: 2 differ");
    assert_eq!(
        Totals::default().to_string(),
        "0 traces, 0 steps: none differs"
    );
}

/// Sees the status alone, and knows of sessions and changes nothing.
struct Blind;

impl Subject for Blind {
    type Error = Infallible;

    fn build(_: &Trace) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn add_key(&mut self, _: &Key) -> Result<Applied, Infallible> {
        Ok(Applied::Yes)
    }

    fn add_session(&mut self, _: &Session) -> Result<Applied, Infallible> {
        Ok(Applied::Inexpressible)
    }

    fn change(&mut self, _: u64, _: &Change) -> Result<Applied, Infallible> {
        Ok(Applied::Inexpressible)
    }

    fn decide(&mut self, at: u64, _: &Ask) -> Result<Option<Answer>, Infallible> {
        Ok((at == 1_790_000_000).then(|| Answer {
            status: Some(Reason::Allowed.status()),
            ..Answer::default()
        }))
    }
}

#[test]
fn what_cannot_be_seen_or_said_is_counted_and_not_taken_for_right() {
    let report = replay::<Blind>(&trace(r#"{"status": 401, "key": "k1", "user": null}"#)).unwrap();
    assert_eq!(report.differing.len(), 1);
    assert_eq!(report.unseen, 2);
    // Two sessions, one request, one change.
    assert_eq!(report.inexpressible, 4);
    let mut totals = Totals::default();
    totals.add(&report);
    assert_eq!(
        totals.to_string(),
        "1 trace, 3 steps: 1 differs; 2 expected members could not be seen; 4 steps could not be expressed"
    );
}
