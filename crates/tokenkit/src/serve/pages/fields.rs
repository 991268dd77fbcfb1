//! What forms are made of. Each field has its label, what is wanted, and what
//! is wrong with it, tied together for those who hear the page.

use maud::{Markup, html};

use super::draft::Draft;
use crate::serve::control::{Form, Problem, Visit};

/// A field: its name, its label and what is wanted there.
#[derive(Clone, Copy)]
pub(super) struct Field<'f> {
    pub(super) name: &'static str,
    pub(super) label: &'f str,
    pub(super) hint: &'f str,
}

impl Field<'_> {
    fn described_by(&self, fault: Option<&str>) -> Option<String> {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let fault = fault.map(|_| format!("{}-fault", self.name));
        match (hint, fault) {
            (Some(hint), Some(fault)) => Some(format!("{hint} {fault}")),
            (hint, fault) => hint.or(fault),
        }
    }

    fn around(&self, fault: Option<&str>, control: &Markup) -> Markup {
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                @if !self.hint.is_empty() { p.hint id={ (self.name) "-hint" } { (self.hint) } }
                @if let Some(fault) = fault { p.fault id={ (self.name) "-fault" } { (fault) } }
                (control)
            }
        }
    }
}

/// What a browser is told about a line of text.
#[derive(Clone, Copy, Default)]
pub(super) struct Line<'l> {
    /// The id of a list of what is likely wanted.
    pub(super) list: Option<&'l str>,
    pub(super) input_mode: Option<&'l str>,
    pub(super) is_short: bool,
    pub(super) is_required: bool,
}

/// A line of text. Nothing that is kept here is for the browser to remember.
pub(super) fn line(draft: &Draft, field: Field<'_>, line: Line<'_>) -> Markup {
    let fault = draft.fault_of(field.name);
    let control = html! {
        input type="text" id=(field.name) name=(field.name) value=(draft.value(field.name))
            class=[line.is_short.then_some("short")] list=[line.list] inputmode=[line.input_mode]
            aria-required=[line.is_required.then_some("true")]
            autocomplete="off" spellcheck="false"
            aria-invalid=[fault.map(|_| "true")] aria-describedby=[field.described_by(fault)];
    };
    field.around(fault, &control)
}

/// Several lines of text, an entry in each.
pub(super) fn lines(draft: &Draft, field: Field<'_>) -> Markup {
    let fault = draft.fault_of(field.name);
    let control = html! {
        textarea id=(field.name) name=(field.name) rows="3" autocomplete="off" spellcheck="false"
            aria-invalid=[fault.map(|_| "true")] aria-describedby=[field.described_by(fault)] {
            // A first newline belongs to the element, not to what it holds.
            "\n" (draft.value(field.name))
        }
    };
    field.around(fault, &control)
}

/// One of a few.
pub(super) fn choice(draft: &Draft, field: Field<'_>, choices: &[(&str, &str)]) -> Markup {
    let fault = draft.fault_of(field.name);
    let control = html! {
        select id=(field.name) name=(field.name)
            aria-invalid=[fault.map(|_| "true")] aria-describedby=[field.described_by(fault)] {
            @for (value, label) in choices {
                option value=(value) selected[*value == draft.value(field.name)] { (label) }
            }
        }
    };
    field.around(fault, &control)
}

/// A box to tick.
pub(super) fn tick(draft: &Draft, field: Field<'_>) -> Markup {
    html! {
        div.field.tick {
            input type="checkbox" id=(field.name) name=(field.name) value="yes"
                checked[draft.is_ticked(field.name)] aria-describedby=[field.described_by(None)];
            div {
                label for=(field.name) { (field.label) }
                @if !field.hint.is_empty() { p.hint id={ (field.name) "-hint" } { (field.hint) } }
            }
        }
    }
}

/// What is wrong with a form, at its head, with a way to each field. It takes
/// the focus.
pub(super) fn summary(draft: &Draft) -> Markup {
    html! {
        @if draft.is_faulty() {
            div.note.bad role="alert" tabindex="-1" autofocus id="faults" {
                h2 { "Not done yet" }
                ul {
                    @for (name, what) in draft.faults() {
                        li { a href={ "#" (name) } { (what) } }
                    }
                }
            }
        }
    }
}

/// The word that every form carries.
pub(super) fn csrf(visit: &Visit) -> Markup {
    html! { input type="hidden" name="csrf" value=(visit.csrf()); }
}

/// The revision that a form goes by.
///
/// # Errors
///
/// 400 where there is none.
pub(super) fn revision(sent: &Form) -> Result<i64, Problem> {
    sent.field("revision").parse().map_err(|_| not_whole())
}

/// Says that a form came without what its page has put into it.
pub(super) fn not_whole() -> Problem {
    Problem::bad_request("The form was not sent whole: load its page anew.")
}
