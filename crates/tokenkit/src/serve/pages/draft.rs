//! What somebody typed into a form, and what is wrong with it: kept, so that
//! they are shown both and type nothing twice.

use std::fmt::Display;

use crate::serve::control::Form;

/// A form as it was filled in.
#[derive(Debug, Default)]
pub(super) struct Draft {
    values: Vec<(&'static str, String)>,
    faults: Vec<(&'static str, String)>,
}

impl Draft {
    /// What a form's fields hold.
    pub(super) fn of(form: &Form, fields: &[&'static str]) -> Self {
        let value = |name: &&'static str| (*name, form.field(name).trim().to_owned());
        Self {
            values: fields.iter().map(value).collect(),
            faults: Vec::new(),
        }
    }

    /// What a form holds before anybody has typed anything.
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// What a field holds, without space around it.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values
            .iter()
            .find(|(found, _)| *found == name)
            .map_or("", |(_, value)| value)
    }

    /// Whether a box is ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        !self.value(name).is_empty()
    }

    /// Says what is wrong with a field.
    pub(super) fn fault(&mut self, name: &'static str, what: impl Display) {
        self.faults.push((name, what.to_string()));
    }

    /// Reads a field; nothing where it cannot be read, which is noted.
    pub(super) fn read<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.value(name)) {
            Ok(value) => Some(value),
            Err(what) => {
                self.fault(name, what);
                None
            }
        }
    }

    /// Reads a field that has an entry in each line.
    pub(super) fn read_lines<T, L: FromIterator<T>, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<L> {
        let parse = |(number, line): (usize, &str)| match line.trim() {
            "" => None,
            line => Some(parse(line).map_err(|what| format!("Line {}: {what}", number + 1))),
        };
        let lines = self.value(name).lines().enumerate();
        let read: Result<L, String> = lines.filter_map(parse).collect();
        self.read(name, |_| read)
    }

    /// All that is wrong, by field.
    pub(super) fn faults(&self) -> &[(&'static str, String)] {
        &self.faults
    }

    /// What is wrong with a field.
    pub(super) fn fault_of(&self, name: &str) -> Option<&str> {
        self.faults
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, what)| what.as_str())
    }

    pub(super) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }
}
