//! What each check looks at, and what it says.

use super::{Explaining, Told, is_blank};
use crate::decide::{Bearer, unless_blank};
use crate::decision::{Budget, Decision, Reason};
use crate::failures::Look;
use crate::key::{Formed, KeyId, MAX_KEY_LEN};
use crate::keyring::Found;
use crate::name::Name;
use crate::request::Credential;
use crate::time::{Hour, until_next_hour};

/// A key that a request shows.
#[derive(Clone, Copy)]
pub(super) enum Shown<'r> {
    /// The whole of it.
    Whole(Formed<'r>),
    /// Its id, and its secret is taken as right.
    ById(KeyId),
}

impl Shown<'_> {
    pub(super) fn id(self) -> KeyId {
        match self {
            Self::Whole(formed) => formed.id(),
            Self::ById(id) => id,
        }
    }
}

impl<'a> Explaining<'a> {
    /// Whether a key is sent.
    pub(super) fn sent(self) -> (String, bool) {
        if let Some(id) = self.shown {
            return (format!("key {id} is taken as sent"), true);
        }
        match (unless_blank(self.request.api_key), self.request.api_key) {
            (Credential::Absent, Credential::Absent) => {
                ("no api-key header was sent; that is no guess".into(), false)
            }
            (Credential::Absent, _) => (
                "the api-key header is empty or blank; that is no guess".into(),
                false,
            ),
            (Credential::One(key), _) => (format!("one api-key header, {} bytes", key.len()), true),
            (Credential::Repeated, _) => ("more than one api-key header".into(), true),
        }
    }

    /// What is counted of the address.
    fn look(self) -> Look<'a> {
        #[cfg(all(target_os = "linux", not(any(loom, miri))))]
        if let Some(view) = self.ledger {
            let failures = view.ledger().failures();
            return failures
                .place(view.ledger().seeds(), self.request.client)
                .look();
        }
        self.engine.place(self.request.client).look()
    }

    fn is_exempt(self) -> bool {
        self.engine.exempt.contains(self.request.client)
    }

    /// When the block of the address ends, if it is blocked.
    pub(super) fn block(self) -> (String, Option<u64>) {
        let (ip, look) = (self.request.client.ip(), self.look());
        if self.is_exempt() {
            return (format!("{ip} is exempt: its guesses are not counted"), None);
        }
        match look.blocked_until(self.unix_s) {
            Some(until) => {
                let wait_s = until.saturating_sub(self.unix_s);
                let text = format!("{ip} is blocked for {wait_s} more seconds, until {until}");
                (text, Some(until))
            }
            None => {
                let count = look.failures(self.unix_s, &self.engine.window);
                (format!("{ip} has {}", self.guesses(count)), None)
            }
        }
    }

    /// So many guesses of as many as block.
    fn guesses(self, count: u64) -> String {
        let threshold = self.engine.window.threshold();
        format!("{count} of {threshold} guesses in the window")
    }

    /// What a guess would do, in words.
    fn guess(self) -> String {
        let look = self.look();
        if self.is_exempt() {
            return "no guess is counted, for the address is exempt".into();
        }
        if look.blocked_until(self.unix_s).is_some() {
            return "no guess is counted during a block".into();
        }
        let after = look.failures(self.unix_s, &self.engine.window) + 1;
        let ends = if after >= self.engine.window.threshold() {
            ", and would block the address"
        } else {
            ""
        };
        format!("this would be a guess: {}{ends}", self.guesses(after))
    }

    /// The key, if it has the form of one.
    pub(super) fn form(self) -> (String, Option<Shown<'a>>) {
        if let Some(id) = self.shown {
            let prefixes = &self.engine.prefixes;
            return match self.prefix {
                Some(prefix) if !prefixes.contains(prefix.as_bytes()) => {
                    let why = format!("its prefix, {prefix}, is none of those that are taken");
                    (format!("{why}; {}", self.guess()), None)
                }
                _ => ("taken as right".into(), Some(Shown::ById(id))),
            };
        }
        let why = match self.request.shown_key() {
            None => "sent more than once".to_owned(),
            Some(key) => match self.engine.forms.take(key) {
                Some(formed) => {
                    let id = formed.id();
                    let text = format!("prefix, length and check are right; its id is {id}");
                    return (text, Some(Shown::Whole(formed)));
                }
                None if key.len() > MAX_KEY_LEN => {
                    format!("{} bytes, where {MAX_KEY_LEN} are the most", key.len())
                }
                None => "prefix, length, characters or check are wrong".to_owned(),
            },
        };
        (format!("{why}; {}", self.guess()), None)
    }

    /// The key that was found, if it is the one that is shown.
    pub(super) fn known<'k>(
        self,
        shown: Shown<'_>,
        found: Option<Found<'k>>,
    ) -> (String, Option<Found<'k>>) {
        let id = shown.id();
        let (is_right, digest) = match shown {
            Shown::ById(_) => (true, "its digest is taken as right"),
            Shown::Whole(formed) => {
                let digest = self.engine.secret.digest_key(formed.key());
                let is_right = found.is_some_and(|found| *found.record().digest() == digest);
                (is_right, "its digest is right")
            }
        };
        let why = match found {
            Some(found) if is_right => {
                let project = self.engine.project(found.record().project());
                let text = format!("key {id} of project {project:?}, {digest}");
                return (text, Some(found));
            }
            Some(_) => format!("there is a key {id}, but of another secret"),
            None => format!("there is no key {id}"),
        };
        (format!("{why}; {}", self.guess()), None)
    }

    pub(super) fn state_text(self, found: Found<'_>) -> String {
        let (record, unix_s) = (found.record(), self.unix_s);
        let expiry = match record.expires_at() {
            Some(at) if record.expired(unix_s) => format!("has expired at {at}"),
            Some(at) => format!("expires in {} seconds, at {at}", at.saturating_sub(unix_s)),
            None => "never expires".to_owned(),
        };
        format!("it is {} and {expiry}", record.state().as_str())
    }

    pub(super) fn origin_text(self, found: Found<'_>, listed: bool) -> String {
        let sent = match self.request.origin {
            None => "no origin was sent".to_owned(),
            Some(origin) if is_blank(origin) => "an empty origin was sent".to_owned(),
            Some(origin) => {
                let shown: String = String::from_utf8_lossy(origin).chars().take(80).collect();
                format!("the origin is {shown:?}")
            }
        };
        let lists = match found.lists().map(|lists| &lists.origins) {
            Some(origins) if !origins.is_empty() => {
                let is = if listed { "is" } else { "is not" };
                format!(
                    "it {is} among the {} that the key lists",
                    origins.iter().count()
                )
            }
            _ => "the key lists none".to_owned(),
        };
        let demanded = if found.record().require_origin() {
            "; the key demands one"
        } else {
            ""
        };
        format!("{sent}; {lists}{demanded}")
    }

    pub(super) fn address_text(self, found: Found<'_>) -> String {
        let client = self.request.client;
        match found.lists().map(|lists| &lists.ips) {
            Some(ips) if !ips.is_empty() => {
                let count = ips.iter().count();
                let is = if ips.contains(client) { "is" } else { "is not" };
                let ip = client.ip();
                format!("{ip} {is} in one of the {count} address blocks that the key lists")
            }
            _ => "the key lists no addresses".to_owned(),
        }
    }

    fn wants(self) -> &'static str {
        if self.request.needs_user {
            "the endpoint wants a user"
        } else {
            "the endpoint wants no user"
        }
    }

    /// The user, and what of one is lacking.
    pub(super) fn user(self, found: Found<'_>) -> (String, Option<Name>, Option<Reason>) {
        let bearer = self
            .engine
            .bearer(self.request, found.record(), self.unix_s);
        let (said, user, lacks) = match bearer {
            Bearer::Absent => (
                "no bearer token was sent".to_owned(),
                None,
                Some(Reason::BearerRequired),
            ),
            Bearer::Invalid => (
                "the bearer token is of no live session of the key's project".to_owned(),
                None,
                Some(Reason::BearerInvalid),
            ),
            Bearer::User(user) => {
                let said = format!("the bearer token is of user {:?}", user.as_str());
                (said, Some(user), None)
            }
        };
        let text = format!("{}; {said}", self.wants());
        (text, user, lacks.filter(|_| self.request.needs_user))
    }

    /// The same where no key is known, whose project a user would be of.
    pub(super) fn user_without_key(self) -> (String, Option<Reason>) {
        let (said, lacks) = match unless_blank(self.request.bearer) {
            Credential::Absent => ("no bearer token was sent", Reason::BearerRequired),
            Credential::One(_) | Credential::Repeated => (
                "no key is known whose project's token could be sent",
                Reason::BearerInvalid,
            ),
        };
        let text = format!("{}; {said}", self.wants());
        (text, self.request.needs_user.then_some(lacks))
    }

    /// What a key has used in an hour. Nothing where its counts are missing;
    /// within it, nothing where the hour's place in the ring is a later one's.
    fn used(self, id: KeyId, found: Found<'_>, hour: Hour) -> Option<Option<u64>> {
        #[cfg(all(target_os = "linux", not(any(loom, miri))))]
        if let Some(view) = self.ledger {
            return view.used(id, hour);
        }
        let _ = id;
        let ring = self.engine.ledger.ring(found.record().slot())?;
        Some(ring.used(hour))
    }

    pub(super) fn budget(
        self,
        (id, found): (KeyId, Found<'_>),
        told: &mut Told,
        decision: Decision,
    ) -> Decision {
        let hour = Hour::of(self.unix_s);
        let reset_s = until_next_hour(self.unix_s);
        let cost = self.request.cost;
        let refused = |budget| Decision {
            reason: Reason::HourlyLimit,
            retry_after_s: reset_s,
            user: None,
            budget,
            ..decision
        };
        let allowed = |told: &Told, budget| Decision {
            shadowed: told.shadowed,
            budget,
            ..decision
        };
        let Some(used) = self.used(id, found, hour) else {
            // Never in shadow: it is no refusal of the limit.
            told.refuse("the key's counts are missing from the ledger".into());
            return refused(None);
        };
        let Some(limit) = found.record().limit() else {
            let used = used.map_or("a later hour counts it".into(), |used| {
                format!("{used} used")
            });
            told.pass(format!("unlimited; {used}, this would take {cost}"));
            return allowed(told, None);
        };
        let (text, fits, left) = match used {
            None => (
                format!("this hour is past: a later one has its place in the ring, of {limit}"),
                None,
                0,
            ),
            Some(used) => {
                let after = used.saturating_add(u64::from(cost));
                let text = format!(
                    "{used} of {limit} units used, this would take {cost}; {reset_s} seconds to \
                     the next hour"
                );
                let fits = limit.checked_sub(after);
                (text, fits, limit.saturating_sub(used))
            }
        };
        let budget = |remaining| {
            Some(Budget {
                limit,
                remaining,
                reset_s,
            })
        };
        let over = fits.is_none().then_some(Reason::HourlyLimit);
        if told.tell(text, over).is_some() {
            return refused(budget(left));
        }
        allowed(told, budget(fits.unwrap_or(0)))
    }
}
