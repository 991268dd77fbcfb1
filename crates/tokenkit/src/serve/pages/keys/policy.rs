//! The fields of a key that people set, in the forms that make one and that
//! change one.

use engine::{Cidr, CidrList, Limit, Name, OriginList, OriginPattern};
use maud::{Markup, html};
use store::{Label, StoredKey};

use crate::serve::control::{KeyChange, NewKey};
use crate::serve::pages::draft::Draft;
use crate::serve::pages::fields::{self, Field, Line};
use crate::when::{parse_when, show_when};

/// Their names.
pub(super) const FIELDS: [&str; 8] = [
    "name",
    "project",
    "limited",
    "limit",
    "expires",
    "origins",
    "ips",
    "require_origin",
];

/// Units an hour that a new key is offered.
const OFFERED_LIMIT: u64 = 1000;

/// What people are told they are called.
pub(super) fn label(field: &str) -> &'static str {
    match field {
        "name" => "Name",
        "project" => "Project",
        "limited" => "Limited",
        "limit" => "Units an hour",
        "expires" => "Expires",
        "origins" => "Origins",
        "ips" => "Addresses",
        _ => "Refuse requests that name no origin",
    }
}

/// What they say, checked.
pub(super) struct Wanted {
    label: Label,
    project: Name,
    hourly_limit: Option<Limit>,
    expires_at: Option<u64>,
    origins: OriginList,
    ips: CidrList,
    require_origin: bool,
}

impl Wanted {
    /// A new key of these.
    pub(super) fn into_new(self) -> NewKey {
        NewKey {
            project: self.project,
            name: self.label,
            hourly_limit: self.hourly_limit,
            expires_at: self.expires_at,
            origins: self.origins,
            require_origin: self.require_origin,
            ips: self.ips,
            prefix: None,
        }
    }

    /// A change to all of these.
    pub(super) fn into_change(self) -> KeyChange {
        KeyChange {
            project: Some(self.project),
            name: Some(self.label),
            hourly_limit: Some(self.hourly_limit),
            expires_at: Some(self.expires_at),
            origins: Some(self.origins),
            require_origin: Some(self.require_origin),
            ips: Some(self.ips),
        }
    }
}

/// The fields of a key that is not there yet.
pub(super) fn blank() -> Draft {
    Draft::default()
        .with("limited", "yes")
        .with("limit", OFFERED_LIMIT)
}

/// The fields of a key that is there.
pub(super) fn of_key(key: &StoredKey) -> Draft {
    let policy = &key.record.policy;
    let lines = |entries: Vec<String>| entries.join("\n");
    let (limited, limit) = match policy.hourly_limit {
        Some(limit) => ("yes", limit.units().to_string()),
        None => ("no", String::new()),
    };
    Draft::default()
        .with("name", &key.label)
        .with("project", policy.project)
        .with("limited", limited)
        .with("limit", limit)
        .with(
            "expires",
            policy.expires_at.map(show_when).unwrap_or_default(),
        )
        .with(
            "origins",
            lines(policy.origins.iter().map(ToString::to_string).collect()),
        )
        .with(
            "ips",
            lines(policy.ips.iter().map(ToString::to_string).collect()),
        )
        .with(
            "require_origin",
            if policy.require_origin { "yes" } else { "" },
        )
}

/// Reads them; nothing where something is wrong, which the draft then says.
/// An expiry may lie in the past only where it is the one that there was.
pub(super) fn read(draft: &mut Draft, now: u64, before: Option<u64>) -> Option<Wanted> {
    let label = draft.read("name", |text| {
        text.parse()
            .map_err(|_| "Name: at most 200 bytes, without control characters.")
    });
    let project = draft.read("project", |text| match text {
        "" => Err("Project: name the one that the key is for.".to_owned()),
        text => text.parse().map_err(|error| format!("Project: {error}.")),
    });
    let hourly_limit = match draft.value("limited") {
        "no" => Some(None),
        "yes" => draft.read("limit", limit).map(Some),
        _ => {
            draft.fault("limited-yes", "Limit: choose a limit, or none.");
            None
        }
    };
    let expires_at = draft.read("expires", |text| expiry(text, now, before));
    let origins = draft.read_lines("origins", |line| {
        line.parse::<OriginPattern>()
            .map_err(|error| format!("{error}."))
    });
    let ips = draft.read_lines("ips", |line| {
        line.parse::<Cidr>().map_err(|error| format!("{error}."))
    });
    Some(Wanted {
        label: label?,
        project: project?,
        hourly_limit: hourly_limit?,
        expires_at: expires_at?,
        origins: origins?,
        ips: ips?,
        require_origin: draft.is_ticked("require_origin"),
    })
}

fn limit(text: &str) -> Result<Limit, String> {
    let units: u64 = text.parse().map_err(|_| match text {
        "" => "Limit: say how many units an hour, or choose unlimited.".to_owned(),
        _ => format!("Limit: {text:?} is no whole number of units."),
    })?;
    Limit::try_from(units).map_err(|error| format!("Limit: {error}."))
}

/// A time to come, or the one that there was.
pub(in crate::serve::pages) fn expiry(
    text: &str,
    now: u64,
    before: Option<u64>,
) -> Result<Option<u64>, String> {
    if text.is_empty() || text == "never" {
        return Ok(None);
    }
    let at = parse_when(text, now).map_err(|why| format!("Expiry: {why}."))?;
    if at <= now && before != Some(at) {
        return Err(format!(
            "Expiry: {text:?} lies in the past. To stop a key now, disable or revoke it."
        ));
    }
    Ok(Some(at))
}

/// The fields, filled in.
pub(super) fn form(draft: &Draft) -> Markup {
    let fault = draft.fault_of("limit").or(draft.fault_of("limited-yes"));
    html! {
        (fields::line(draft, Field {
            name: "name", label: "Name",
            hint: "What you call it, such as who uses it and where. It may be empty.",
        }, Line::default()))
        (fields::line(draft, Field {
            name: "project", label: "Project",
            hint: "One that is there, or a new one.",
        }, Line { list: Some("projects"), is_required: true, ..Line::default() }))
        fieldset {
            legend { "Limit" }
            @if let Some(fault) = fault { p.fault id="limit-fault" { (fault) } }
            div.choice {
                input type="radio" name="limited" value="yes" id="limited-yes" checked[draft.value("limited") == "yes"];
                label for="limited-yes" { "At most" }
                input.short type="text" id="limit" name="limit" inputmode="numeric" autocomplete="off"
                    value=(draft.value("limit")) aria-label="Units an hour"
                    aria-invalid=[fault.map(|_| "true")] aria-describedby=[fault.map(|_| "limit-fault")];
                span { "units an hour" }
            }
            div.choice {
                input type="radio" name="limited" value="no" id="limited-no" checked[draft.value("limited") == "no"];
                label for="limited-no" { "Unlimited; what it uses is still counted" }
            }
        }
        (fields::line(draft, Field {
            name: "expires", label: "Expires",
            hint: "A time from now on such as 30d or 12h, or a moment such as 2027-01-31T00:00:00Z. Empty is never.",
        }, Line { list: Some("expiries"), is_short: true, ..Line::default() }))
        datalist id="expiries" {
            option value="1d" {} option value="30d" {} option value="90d" {} option value="365d" {}
        }
        (fields::lines(draft, Field {
            name: "origins", label: "Origins",
            hint: "Pages that may use it, one a line, such as https://app.example.com or https://*.example.com. Empty is any.",
        }))
        (fields::tick(draft, Field {
            name: "require_origin", label: "Refuse requests that name no origin",
            hint: "Browsers leave it out of some requests to their own host, and other programs never send it.",
        }))
        (fields::lines(draft, Field {
            name: "ips", label: "Addresses",
            hint: "Client addresses that may use it, one a line, such as 203.0.113.7 or 2001:db8::/32. Empty is any.",
        }))
    }
}
