//! The arguments of a command: flags and numbers may stand anywhere, what is
//! left over is an error unless the command passes it on.

use crate::shell::Failure;

/// Arguments not yet taken, in order.
#[derive(Default)]
pub(crate) struct Args(Vec<String>);

impl Args {
    /// Those of the process.
    pub(crate) fn from_env() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// Takes the next argument.
    pub(crate) fn next_word(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Takes a flag; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let place = self.0.iter().position(|arg| arg == name);
        place.map(|at| self.0.remove(at)).is_some()
    }

    /// Takes `NAME VALUE`; `None` where it is not there.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let Some(at) = self.0.iter().position(|arg| arg == name) else {
            return Ok(None);
        };
        self.0.remove(at);
        if at < self.0.len() {
            Ok(Some(self.0.remove(at)))
        } else {
            Err(Failure::usage(format!("{name} wants a value")))
        }
    }

    /// Takes `NAME N`; `None` where it is not there.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(at) = self.0.iter().position(|arg| arg == name) else {
            return Ok(None);
        };
        self.0.remove(at);
        let value = if at < self.0.len() {
            self.0.remove(at)
        } else {
            String::new()
        };
        match value.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(Failure::usage(format!(
                "{name} wants a number from 1, not {value:?}"
            ))),
        }
    }

    /// Takes all that is left.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0)
    }

    /// Refuses whatever is left.
    pub(crate) fn none(&self) -> Result<(), Failure> {
        match self.0.first() {
            None => Ok(()),
            Some(arg) => Err(Failure::usage(format!(
                "{arg:?} is not understood here; see cargo xtask help"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Args {
        Args(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn options_may_stand_anywhere() {
        let mut given = args(&["route", "--seconds", "5"]);
        assert_eq!(given.number("--seconds").ok(), Some(Some(5)));
        assert_eq!(given.next_word().as_deref(), Some("route"));
        assert!(given.none().is_ok());
    }

    #[test]
    fn what_is_no_number_is_named() {
        for bad in [&["--seeds"][..], &["--seeds", "x"], &["--seeds", "0"]] {
            let failure = args(bad).number("--seeds").unwrap_err();
            assert!(failure.to_string().contains("--seeds"));
        }
    }

    #[test]
    fn leftovers_are_refused() {
        assert!(
            args(&["--what"])
                .none()
                .unwrap_err()
                .to_string()
                .contains("--what")
        );
    }
}
