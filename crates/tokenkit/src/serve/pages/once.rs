//! Forms that make something once, however often they are sent.

use engine::{KeyId, SessionToken};
use maud::{Markup, html};
use serde_json::json;
use store::{Actor, Idempotent, Writer};

use super::{fields, parts};
use crate::serve::control::{Admin, Control, Problem};

/// A number that a form is shown with. What it makes is written down under it,
/// in the same change, for a day.
pub(super) struct Once {
    token: KeyId,
    digest: [u8; 32],
}

/// What came of a form.
pub(super) enum Outcome<T> {
    /// It was made. What is to be said of it besides, if anything.
    Made(T, Markup),
    /// It was made when the form was first sent; its id.
    Before(String),
}

/// What was made.
pub(super) enum Id {
    Key(KeyId),
    Token(KeyId),
}

/// What is said of something made that is not in force.
fn notice(in_force: bool) -> Markup {
    if in_force {
        return html! {};
    }
    parts::note(
        "warn",
        &html! {
            p {
                strong { "It is stored, but the server could not take it over yet." }
                " Keep it all the same: it works once the server can read its store again, which the log tells of."
            }
        },
    )
}

/// The field of a form that holds its number: a new one, or the one that it was
/// sent with.
///
/// # Errors
///
/// The system gives no random bytes.
pub(super) fn field(sent: Option<&str>) -> Result<Markup, Problem> {
    let number = match sent {
        Some(sent) if !sent.is_empty() => sent.to_owned(),
        _ => SessionToken::generate()
            .map_err(Problem::internal)?
            .expose()
            .to_owned(),
    };
    Ok(html! { input type="hidden" name="once" value=(number); })
}

impl Once {
    /// The number that a form was sent with.
    ///
    /// # Errors
    ///
    /// 400 where there is none.
    pub(super) fn of(control: &Control, admin: &Admin, sent: &str) -> Result<Self, Problem> {
        if sent.is_empty() {
            return Err(fields::not_whole());
        }
        Ok(Self {
            token: admin.id,
            digest: *control
                .engine()
                .secret()
                .digest_token(sent.as_bytes())
                .as_bytes(),
        })
    }

    /// Makes something, unless this form has done so: then it is only said what.
    /// `make` hands out the id of what it makes, too.
    ///
    /// # Errors
    ///
    /// That of `make`, and those of [`Control::make`].
    pub(super) async fn make<T: Send + 'static>(
        self,
        control: &Control,
        actor: Actor,
        make: impl FnOnce(&mut Writer<'_>) -> Result<(Id, T), Problem> + Send + 'static,
    ) -> Result<Outcome<T>, Problem> {
        let change = move |writer: &mut Writer<'_>| {
            // The number stands for the form, whatever else it says.
            let before = writer.idempotent(self.token, &self.digest, &self.digest)?;
            if let Idempotent::Replay { outcome, .. } = before {
                let made = outcome.and_then(|made| Some(made["made"].as_str()?.to_owned()));
                return Ok((None, Err(made.unwrap_or_default())));
            }
            let (id, made) = make(writer)?;
            let (key, id) = match id {
                Id::Key(id) => (Some(id), id),
                Id::Token(id) => (None, id),
            };
            writer.set_outcome(self.token, &self.digest, &json!({ "made": id.to_string() }))?;
            Ok((key, Ok(made)))
        };
        let fresh = control.make(actor, change).await?;
        Ok(match fresh.made {
            Ok(made) => Outcome::Made(made, notice(fresh.in_force)),
            Err(id) => Outcome::Before(id),
        })
    }
}
