//! The reasons of decisions, in words.

use engine::Reason;

pub(super) fn in_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Allowed => "Allowed",
        Reason::MissingKey => "No key was sent",
        Reason::IpBlocked => "Address blocked",
        Reason::MalformedKey => "Malformed key",
        Reason::UnknownKey => "Unknown key",
        Reason::RevokedKey => "Key revoked",
        Reason::DisabledKey => "Key disabled",
        Reason::ExpiredKey => "Key expired",
        Reason::OriginDenied => "Origin not listed",
        Reason::IpDenied => "Address not listed",
        Reason::BearerRequired => "No user's token",
        Reason::BearerInvalid => "User's token invalid",
        Reason::HourlyLimit => "Over the hourly limit",
        other => other.as_str(),
    }
}
