//! `[[shadow]]`: refusals that are told and let through, for a key, a project
//! or all. Whom a rule is for is always said, lest one that is half written be
//! for everybody.

use engine::{Reason, ShadowPolicy, ShadowScope};

use super::codec::{Bad, Codec, Flag, TEXT, Texts, text};
use super::nearest::nearest;
use super::value::{Entry, Kind, SyntaxError, Value, parse_value};

/// One entry of `[[shadow]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShadowRule {
    scope: ShadowScope,
    reasons: Vec<Reason>,
}

impl ShadowRule {
    /// What some rules come to together.
    pub(crate) fn policy(rules: &[Self]) -> ShadowPolicy {
        let mut policy = ShadowPolicy::default();
        for rule in rules {
            for reason in &rule.reasons {
                // Each was tried when the rule was read.
                let _ = policy.add(rule.scope, *reason);
            }
        }
        policy
    }
}

/// `[[shadow]]`.
pub(super) struct Shadow;

/// The members of a rule.
const RULE: [&str; 4] = ["reasons", "key", "project", "all"];
const TABLES: &str = "tables are wanted: [[shadow]] for each";
const ONE_SCOPE: &str =
    "one of key = \"ID\", project = \"NAME\" or all = true is wanted: whom the rule is for";

const REASONS: Texts<Vec<Reason>> = Texts {
    read: |texts| {
        if texts.is_empty() {
            return Err("at least one refusal is wanted, such as \"hourly_limit\"".into());
        }
        texts.iter().map(|text| reason(text)).collect()
    },
    show: |reasons| reasons.iter().map(ToString::to_string).collect(),
};

/// A refusal by its word.
fn reason(word: &str) -> Result<Reason, String> {
    let found = Reason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == word);
    found.ok_or_else(|| {
        let meant = nearest(word, Reason::ALL.map(Reason::as_str));
        format!("there is no refusal {word:?}: is {meant} meant?")
    })
}

impl Codec for Shadow {
    type Checked = Vec<ShadowRule>;

    fn read(&self, value: &Value) -> Result<Vec<ShadowRule>, Bad> {
        match &value.kind {
            Kind::List(items) => items.iter().map(rule).collect(),
            _ => Err(Bad::new(value, TABLES)),
        }
    }

    fn show(&self, rules: &Vec<ShadowRule>) -> Value {
        let entry = |key: &str, value| Entry {
            key: key.into(),
            line: 0,
            value,
        };
        let table = |rule: &ShadowRule| {
            let scope = match rule.scope {
                ShadowScope::Key(id) => entry("key", Value::text(&id.to_string())),
                ShadowScope::Project(name) => entry("project", Value::text(name.as_str())),
                ShadowScope::All => entry("all", Kind::Flag(true).into()),
            };
            let reasons = entry("reasons", REASONS.show(&rule.reasons));
            Value::from(Kind::Table(vec![reasons, scope]))
        };
        Kind::List(rules.iter().map(table).collect()).into()
    }

    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        parse_value(text)
    }
}

/// One rule, whose refusals can be in shadow for whom it names.
fn rule(value: &Value) -> Result<ShadowRule, Bad> {
    let Kind::Table(entries) = &value.kind else {
        return Err(Bad::new(value, TABLES));
    };
    let mut scopes = Vec::new();
    let mut given = None;
    for Entry { key, line, value } in entries {
        match key.as_str() {
            "reasons" => given = Some((REASONS.read(value)?, value)),
            "key" => scopes.push(ShadowScope::Key(parsed(value)?)),
            "project" => scopes.push(ShadowScope::Project(parsed(value)?)),
            "all" if Flag.read(value)? => scopes.push(ShadowScope::All),
            "all" => {}
            unknown => {
                return Err(Bad {
                    line: *line,
                    given: unknown.into(),
                    wanted: format!(
                        "a rule has no such member: is {} meant?",
                        nearest(unknown, RULE)
                    ),
                });
            }
        }
    }
    let [scope] = scopes[..] else {
        return Err(Bad::new(value, ONE_SCOPE));
    };
    let Some((reasons, at)) = given else {
        return Err(Bad::new(
            value,
            "reasons = [...] is wanted: what is in shadow",
        ));
    };
    let mut policy = ShadowPolicy::default();
    for reason in &reasons {
        policy
            .add(scope, *reason)
            .map_err(|error| Bad::new(at, error))?;
    }
    Ok(ShadowRule { scope, reasons })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(value: &Value) -> Result<T, Bad> {
    let text = text(value).ok_or_else(|| Bad::new(value, TEXT))?;
    text.parse().map_err(|error| Bad::new(value, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ShadowRule>, String> {
        let value = parse_value(text).map_err(|error| error.what)?;
        Shadow.read(&value).map_err(|bad| bad.wanted)
    }

    #[test]
    fn what_is_read_is_shown_and_read_again() {
        let text = r#"[{ reasons = ["hourly_limit", "ip_denied"], key = "0123456789" },
            { reasons = ["expired_key"], project = "p1" },
            { reasons = ["missing_key", "hourly_limit"], all = true }]"#;
        let rules = read(text).unwrap();
        assert_eq!(rules.len(), 3);
        assert_eq!(read(&Shadow.show(&rules).to_string()), Ok(rules.clone()));
        let policy = ShadowRule::policy(&rules);
        assert!(policy.lets_anybody_in());
        let set = policy.for_key("0123456789".parse().unwrap(), &"p1".parse().unwrap());
        for reason in [
            Reason::HourlyLimit,
            Reason::IpDenied,
            Reason::ExpiredKey,
            Reason::MissingKey,
        ] {
            assert!(set.contains(reason), "{reason}");
        }
        assert_eq!(ShadowRule::policy(&[]), ShadowPolicy::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("1", TABLES),
            ("[1]", TABLES),
            ("[{ reasons = [\"hourly_limit\"] }]", ONE_SCOPE),
            ("[{ reasons = [\"hourly_limit\"], all = false }]", ONE_SCOPE),
            (
                "[{ reasons = [\"hourly_limit\"], all = true, project = \"p\" }]",
                ONE_SCOPE,
            ),
            ("[{ all = true }]", "reasons = [...] is wanted"),
            ("[{ reasons = [], all = true }]", "at least one refusal"),
            (
                "[{ reasons = [\"hour_limit\"], all = true }]",
                "is hourly_limit meant?",
            ),
            (
                "[{ reasons = [\"revoked_key\"], all = true }]",
                "revoked_key is never put in shadow",
            ),
            (
                "[{ reasons = [\"allowed\"], all = true }]",
                "allowed is never put in shadow",
            ),
            (
                "[{ reasons = [\"missing_key\"], project = \"p\" }]",
                "in shadow for all alone",
            ),
            ("[{ reason = [] }]", "is reasons meant?"),
            ("[{ key = \"short\" }]", "10"),
            ("[{ key = 1 }]", TEXT),
            ("[{ project = \"\" }]", ""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
