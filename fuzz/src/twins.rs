//! The engine and its slow twin as one subject: whatever it is asked, both
//! must answer alike.

use tests::oracle::Oracle;
use trace::{
    Answer, Applied, Ask, Change, EngineSubject, EngineSubjectError, Key, Session, Subject, Trace,
};

/// Both, driven together.
pub struct Twins {
    engine: EngineSubject,
    oracle: Oracle,
}

/// What the slow twin, which refuses nothing, is made to do.
fn done<T>(result: Result<T, std::convert::Infallible>) -> T {
    let Ok(value) = result;
    value
}

impl Subject for Twins {
    type Error = EngineSubjectError;

    fn build(trace: &Trace) -> Result<Self, Self::Error> {
        Ok(Self {
            engine: EngineSubject::build(trace)?,
            oracle: done(Oracle::build(trace)),
        })
    }

    fn add_key(&mut self, key: &Key) -> Result<Applied, Self::Error> {
        let applied = self.engine.add_key(key)?;
        assert_eq!(done(self.oracle.add_key(key)), applied);
        Ok(applied)
    }

    fn add_session(&mut self, session: &Session) -> Result<Applied, Self::Error> {
        let applied = self.engine.add_session(session)?;
        assert_eq!(done(self.oracle.add_session(session)), applied);
        Ok(applied)
    }

    fn change(&mut self, at: u64, change: &Change) -> Result<Applied, Self::Error> {
        let applied = self.engine.change(at, change)?;
        assert_eq!(done(self.oracle.change(at, change)), applied);
        Ok(applied)
    }

    /// # Panics
    ///
    /// Where the answers differ.
    fn decide(&mut self, at: u64, ask: &Ask) -> Result<Option<Answer>, Self::Error> {
        let seen = self.engine.decide(at, ask)?;
        let expected = done(self.oracle.decide(at, ask));
        assert_eq!(seen, expected, "at {at}");
        Ok(seen)
    }
}
