//! The bodies of refusals: one static JSON text for each reason.

use crate::decision::Reason;

/// The problem body of a refusal, JSON as RFC 9457 has it; `None` for
/// [`Reason::Allowed`].
#[must_use]
pub const fn problem(reason: Reason) -> Option<&'static str> {
    /// One body. Members: type, title, status, detail, reason, and whatever
    /// the type defines beyond them.
    macro_rules! body {
        ($type:literal, $title:literal, $status:literal, $detail:literal, $reason:literal $(, $more:literal)?) => {
            Some(concat!(
                r#"{"type":""#, $type, r#"","title":""#, $title, r#"","status":"#, $status,
                r#","detail":""#, $detail, r#"","reason":""#, $reason, "\"", $($more,)? "}"
            ))
        };
    }
    macro_rules! unauthorized {
        ($detail:literal, $reason:literal) => {
            body!("about:blank", "Unauthorized", 401, $detail, $reason)
        };
    }
    macro_rules! forbidden {
        ($detail:literal, $reason:literal) => {
            body!("about:blank", "Forbidden", 403, $detail, $reason)
        };
    }
    match reason {
        Reason::Allowed => None,
        Reason::MissingKey => unauthorized!("The api-key header is missing.", "missing_key"),
        Reason::IpBlocked => body!(
            "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
            "Request not satisfied due to detection of abnormal request pattern",
            429,
            "Too many failed api-key attempts from this IP address. Try again later.",
            "ip_blocked"
        ),
        Reason::MalformedKey => unauthorized!("The api-key is malformed.", "malformed_key"),
        Reason::UnknownKey => unauthorized!("The api-key is unknown.", "unknown_key"),
        Reason::RevokedKey => unauthorized!("The api-key has been revoked.", "revoked_key"),
        Reason::DisabledKey => unauthorized!("The api-key is disabled.", "disabled_key"),
        Reason::ExpiredKey => unauthorized!("The api-key has expired.", "expired_key"),
        Reason::OriginDenied => {
            unauthorized!(
                "This origin is not in the api-key's allow list.",
                "origin_denied"
            )
        }
        Reason::IpDenied => {
            unauthorized!(
                "This IP address is not in the api-key's allow list.",
                "ip_denied"
            )
        }
        Reason::BearerRequired => {
            forbidden!(
                "This endpoint also requires a user's bearer token.",
                "bearer_required"
            )
        }
        Reason::BearerInvalid => {
            forbidden!(
                "The bearer token is invalid or has expired.",
                "bearer_invalid"
            )
        }
        Reason::HourlyLimit => body!(
            "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "Request cannot be satisfied as assigned quota has been exceeded",
            429,
            "The api-key's hourly rate limit is exhausted.",
            "hourly_limit",
            r#","violated-policies":["hour"]"#
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_problems_of_their_reason() {
        for reason in Reason::ALL {
            let Some(body) = problem(reason) else {
                assert_eq!(reason, Reason::Allowed);
                continue;
            };
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["status"], reason.status());
            assert_eq!(body["reason"], reason.as_str());
            assert!(body["detail"].as_str().unwrap().ends_with('.'));
            let (kind, title) = (
                body["type"].as_str().unwrap(),
                body["title"].as_str().unwrap(),
            );
            match reason.status() {
                401 => assert_eq!((kind, title), ("about:blank", "Unauthorized")),
                403 => assert_eq!((kind, title), ("about:blank", "Forbidden")),
                _ => assert!(kind.starts_with("https://iana.org/assignments/http-problem-types#")),
            }
            let policies = &body["violated-policies"];
            if reason == Reason::HourlyLimit {
                assert_eq!(policies, &serde_json::json!(["hour"]));
                assert!(kind.ends_with("#quota-exceeded"));
            } else {
                assert!(policies.is_null());
            }
        }
    }

    #[test]
    fn details_differ() {
        let mut bodies: Vec<_> = Reason::ALL.into_iter().filter_map(problem).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), Reason::ALL.len() - 1);
    }
}
